/** Service names of the ports one meets on a home network (IANA Service Name and Port Number Registry). */
import type { Protocol } from '../base/port.ts'

/** `port[/protocol] name`; without a protocol, both. */
const table = `7 echo;9 discard;13 daytime;17 qotd;19 chargen;20/tcp ftp-data;21/tcp ftp;22/tcp ssh;23/tcp telnet;25/tcp smtp;
37 time;43/tcp whois;49 tacacs;53 domain;67/udp bootps;68/udp bootpc;69/udp tftp;70/tcp gopher;79/tcp finger;80 http;
88 kerberos;102/tcp iso-tsap;110/tcp pop3;111 sunrpc;113/tcp auth;119/tcp nntp;123/udp ntp;135 epmap;137 netbios-ns;
138 netbios-dgm;139 netbios-ssn;143/tcp imap;161 snmp;162 snmptrap;179/tcp bgp;389 ldap;427 svrloc;443 https;
444 snpp;445 microsoft-ds;464 kpasswd;465/tcp submissions;500/udp isakmp;502 mbap;514/udp syslog;514/tcp shell;515/tcp printer;
520/udp router;521/udp ripng;546/udp dhcpv6-client;547/udp dhcpv6-server;548/tcp afpovertcp;554 rtsp;587/tcp submission;
623/udp asf-rmcp;631 ipp;636 ldaps;655 tinc;853 domain-s;860/tcp iscsi;873/tcp rsync;989/tcp ftps-data;990/tcp ftps;
993/tcp imaps;995/tcp pop3s;1080/tcp socks;1194 openvpn;1433/tcp ms-sql-s;1434 ms-sql-m;1521/tcp ncube-lm;1701/udp l2tp;
1720/tcp h323hostcall;1723/tcp pptp;1812/udp radius;1813/udp radius-acct;1883/tcp mqtt;1900/udp ssdp;2049 nfs;2082/tcp infowave;
2181/tcp eforward;2375/tcp docker;2376/tcp docker-s;2379/tcp etcd-client;2380/tcp etcd-server;3128/tcp ndl-aas;3260/tcp iscsi-target;
3283 net-assistant;3306/tcp mysql;3389 ms-wbt-server;3478 stun;3689/tcp daap;3690/tcp svn;4369/tcp epmd;4500/udp ipsec-nat-t;
4786 smart-install;5000/tcp commplex-main;5004 avt-profile-1;5005 avt-profile-2;5060 sip;5061 sips;5222/tcp xmpp-client;5269/tcp xmpp-server;
5349 stuns;5350/udp pcp-multicast;5351 pcp;5353/udp mdns;5355 llmnr;5357/tcp wsd;5432/tcp postgresql;5555/tcp personal-agent;
5671/tcp amqps;5672/tcp amqp;5683/udp coap;5684/udp coaps;5900/tcp rfb;5938 teamviewer;5984/tcp couchdb;5985/tcp wsman;5986/tcp wsmans;
6000/tcp x11;6379/tcp redis;6443/tcp sun-sr-https;6514/tcp syslog-tls;6667/tcp ircu;6881 bittorrent;7070/tcp arcp;7680/tcp pando-pub;
8000/tcp irdmi;8008/tcp http-alt;8080/tcp http-alt;8086/tcp d-s-n;8140/tcp puppet;8333/tcp bitcoin;8443/tcp pcsync-https;8883/tcp secure-mqtt;
8888/tcp ddi-tcp-1;9000/tcp cslistener;9090/tcp websm;9092/tcp XmlIpcRegSvc;9100/tcp pdl-datastream;9200/tcp wap-wsp;9418 git;
10000/tcp ndmp;11211 memcache;25565/tcp minecraft;27015 steam-game;27017/tcp mongodb;32400/tcp plex;51820/udp wireguard`

const names = new Map<string, string>()
for (const entry of table.split(/;\s*/)) {
  const [where = '', name = ''] = entry.trim().split(' ')
  const [port, only] = where.split('/')
  for (const protocol of only ? [only] : ['tcp', 'udp']) names.set(`${port}/${protocol}`, name)
}

/** `http` for 80/tcp; null where the port has no name that we know. */
export function serviceName(protocol: Protocol, port: number): string | null {
  return names.get(`${port}/${protocol}`) ?? null
}

/** 80 for `http`; null where no port that we know has that name. Also the names of /etc/services that differ. */
export function portNamed(protocol: Protocol, name: string): number | null {
  return ports.get(`${otherNames.get(name) ?? name}/${protocol}`) ?? null
}

/** The lowest port of a name, where several have it. */
const ports = new Map<string, number>()
for (const [key, name] of names) {
  const [port = '', protocol = ''] = key.split('/')
  const named = `${name}/${protocol}`
  ports.set(named, Math.min(Number(port), ports.get(named) ?? 65_535))
}

const otherNames = new Map([
  ['www', 'http'],
  ['imap2', 'imap'],
  ['dns', 'domain'],
  ['rdp', 'ms-wbt-server'],
])
