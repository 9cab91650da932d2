package main

import (
	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", GroupID: "start", Args: noArgs,
		Short: "Check the configuration",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use: "check", Args: noArgs,
		Short:   "Read the configuration and tell every mistake",
		Example: "  satchel config check\n  satchel config check --config /etc/satchel/satchel.yaml --json",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"file": cfg.File, "courses": len(cfg.Courses), "warnings": cfg.Warnings})
			}
			for _, w := range cfg.Warnings {
				a.printf("warning: %s\n", w)
			}
			a.printf("%s is fine: %s.\n", cfg.File, plural(len(cfg.Courses), "course"))
			for _, c := range cfg.Courses {
				a.printf("  %s: %s, branch %s\n", c.Name, c.Repository, c.Branch)
			}
			return nil
		},
	})
	return c
}
