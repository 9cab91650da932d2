package main

import "github.com/spf13/cobra"

// systemCommands: the service and the work folder are for Unix. An instructor
// on Windows has lint, and all the rest below WSL.
func (a *app) systemCommands() []*cobra.Command { return nil }
