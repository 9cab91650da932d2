package main

const helpText = `satchel-agent brings the newest course material into your work folder.
Your own work is never overwritten.

Usage: satchel-agent COMMAND [FLAGS]

  sync            get what is new now, and bring back what was deleted once
  status          what you have, since when, and what waits (needs no network)
  diff FILE       what is different in your file from the course's
  restore FILE    put the newest course version of a file in its place again
  undo            take back what the last update changed; once more: do it again
  doctor          look for what could be in the way, and say what to do
  watch           stay and keep the folder fresh
  run -- CMD      what a server's start does, then become CMD
  version, help   help COMMAND says more

Examples:
  satchel-agent sync
  satchel-agent restore ~/work/scala101/hw1/lab.ipynb
  satchel-agent diff hw1/lab.ipynb
  satchel-agent status --json

Exit codes: 0 done, or nothing to do; 1 not done (the sentence says why);
  2 not understood; 3 done in part; 4 the material could not be verified.
  At a server's start (sync --hook, or called 50-satchel) always 0.

Environment: SATCHEL_URL, SATCHEL_TICKET, SATCHEL_KEYS (the hub sets them; a
  file /etc/satchel/keys wins over the last), SATCHEL_ROOT (default ~/work,
  else ~), SATCHEL_LANG, SATCHEL_BUDGET (seconds a login waits; default 8),
  SATCHEL_PROXY, SATCHEL_CA_FILE.
`

// helps are the texts of help COMMAND.
var helps = map[string]string{
	"sync": `Usage: satchel-agent sync [--all] [--json] [--quiet] [--hook]

Gets what is new and puts it in place. Where you and the course changed the
same file, both changes are kept in it: of a notebook cell by cell, of a text
line by line. Where both changed the same lines, yours stand, and the course's
file lies beside.

  --all    ask for everything anew, and bring also what you took back by undo
  --json   one JSON object a line: progress, sentences, the end
  --quiet  say nothing
  --hook   as at a server's start: at most SATCHEL_BUDGET in the foreground,
           the rest in the background; the exit code is always 0

Examples:
  satchel-agent sync
  satchel-agent sync --json | jq -r 'select(.event=="sentence").text'

Exit codes: 0 done, or nothing to do; 1 not done; 3 done in part (no space, no
  permission, still arriving); 4 the material could not be verified.
`,
	"watch": `Usage: satchel-agent watch [--json]

Stays, and brings what is new while you work: it only adds files, and replaces
those that you neither changed nor have open. One for each folder; a second
one asks the first to look, and ends.

It keeps a fresh ticket in memory and lends it to your other commands by a
socket that only you can open. So any process that runs as you (a notebook,
an extension, a terminal) can ask it for the ticket, and with it fetch what
you may fetch: your courses' material, nothing else.

Example:
  satchel-agent watch

Exit codes: 0 ended as asked, or another one runs; 1 it could not begin.
`,
	"run": `Usage: satchel-agent run -- COMMAND [ARGUMENTS]

Does what a server's start does (at most SATCHEL_BUDGET), leaves a watch
behind, and becomes COMMAND, whatever happened. For servers that have no hook
folder.

Example:
  satchel-agent run -- jupyterhub-singleuser --ip=0.0.0.0

Exit codes: COMMAND's; 126 it cannot be run; 127 there is no such command.
`,
	"status": `Usage: satchel-agent status [--json] [--sent]

Says for each course which version you have, in which folder, since when, and
what waits; how much Satchel itself keeps; the last trouble; where the log is.
It needs no network.

  --sent   the last report that was sent to the course server, as it was sent
  --json   the same as JSON

Example:
  satchel-agent status

Exit codes: 0; 1 the folder could not be read.
`,
	"restore": `Usage: satchel-agent restore [--version N] FILE
       satchel-agent restore --all

Puts the newest course version of FILE in its place. What was there is kept
beside it as "FILE (my copy)", and named. It needs the course server only
where the bytes are not here any more, and says so.

FILE is taken from the folder that you are in. Where nothing lies there it may
be the name of a file in one of your courses; of a name that several courses
have, it says what to type.

  --version N  what FILE was in version N of the course, where this home still
               has it; it stays so until the course changes it again
  --all        every file of your courses that is not the course's newest

Examples:
  satchel-agent restore hw1/lab.ipynb
  satchel-agent restore --version 14 ~/work/scala101/hw1/lab.ipynb

Exit codes: 0 done; 1 not done (no such course file or version, or the server
  is needed and cannot be reached); 3 done in part.
`,
	"diff": `Usage: satchel-agent diff FILE

Shows what is different in your FILE (+) from the course's newest version (-):
of a notebook cell by cell, without outputs; of a text line by line. It
changes nothing. FILE is taken as by restore.

Example:
  satchel-agent diff hw1/lab.ipynb

Exit codes: 0 shown; 1 not (no such course file, or the server is needed and
  cannot be reached); 3 your file cannot be read.
`,
	"undo": `Usage: satchel-agent undo

Takes back what the last update changed in your folder: each file is what it
was before, and stays so until the course changes it again (or you say
satchel-agent sync --all). Once more: undo does all of it again. A file that
you changed since is left as it is, and named. What your teacher withdrew is
not brought back.

Example:
  satchel-agent undo

Exit codes: 0 done, or there was nothing; 1 not done; 3 done in part.
`,
	"doctor": `Usage: satchel-agent doctor [--json]

Tries each thing that a sync needs: the course server, the way to it, the
ticket and until when it is good, the keys and which of them sign, the clocks,
the folder, room, renames and locks on its filesystem, the start hook, another
agent; and S3, where the server sends from there. Then what this server should
not reach: the cloud's metadata address (169.254.169.254, fd00:ec2::254) and
the course server's port for the hub. Each line says "ok", or NOT and what to
do. It changes nothing, and shows no secret.

  --json   the same as a list: name, ok, stop, note, do

Examples:
  satchel-agent doctor
  satchel-agent doctor --json | jq '.[] | select(.ok | not)'

Exit codes: 0 all is well; 3 there are warnings (also what is open and should
  not be); 1 something is in the way of new material.
`,
	"version": "Usage: satchel-agent version\n",
	"help":    "Usage: satchel-agent help [COMMAND]\n",
}

func helpOf(command string) string { return helps[command] }
