package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// docsCommand writes the man pages; completion comes with cobra itself.
func (a *app) docsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Args: exactly("DIR"), Hidden: true,
		Short: "Write the man pages into a folder",
		RunE: func(c *cobra.Command, args []string) error {
			return doc.GenManTree(c.Root(), &doc.GenManHeader{Title: "SATCHEL", Section: "1", Source: "Satchel"}, args[0])
		},
	}
}
