//go:build unix

package main

import "github.com/spf13/cobra"

// systemCommands are those that need more of the system than files to read:
// locks, Unix sockets, signals.
func (a *app) systemCommands() []*cobra.Command {
	return []*cobra.Command{
		a.tryCommand(), a.initCommand(), a.courseCommand(), a.configCommand(), a.keyCommand(),
		a.serveCommand(), a.syncerCommand(), a.hookserverCommand(),
		a.doctorCommand(), a.checkCommand(), a.publishCommand(), a.pauseCommand(), a.resumeCommand(), a.rollbackCommand(), a.withdrawCommand(), a.statusCommand(), a.logCommand(), a.studentCommand(),
	}
}
