/**
 * How a person gives Naru a right that it lacks: to this one process, as a service or by an ambient capability. Never to
 * the program file of Node by `setcap`: whoever may run Node would have the right, and the commands that Naru starts
 * (nft, conntrack) would not.
 */

/** @param right as capabilities(7) names it: `net_bind_service` */
export const withRight = (right: string): string =>
  'sudo env "PATH=$PATH" setpriv --reuid "$(id -u)" --regid "$(id -g)" --init-groups ' +
  `--inh-caps +${right} --ambient-caps +${right} naru up`

/** For what starts commands of its own, too: the service has the rights it needs and no more. */
export const asService = 'sudo naru service install --write'
