// `npm test`: installs what the tests need, builds, checks the house, runs everything, and ends with
// `N passed, N failed` alone on its last line.
process.exitCode = 1
