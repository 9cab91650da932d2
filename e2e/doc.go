// Package e2e holds the tests of the whole way with the real programs and
// real servers: the satchel and satchel-agent binaries, git, OpenSSH's sshd,
// an S3 server that checks signatures (versitygw), strace's fault injection.
// They run with the build tag e2e (make e2e); their names begin with TestE2E,
// those of the measurements (make bench) with TestBench, those of the
// comparison with nbgitpuller and nbdime (make peers) with TestPeers.
package e2e
