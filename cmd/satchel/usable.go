package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"satchel/internal/config"
)

// shownMistakes is how many mistakes a command tells that goes on in spite of
// them.
const shownMistakes = 5

// usable is the configuration for a command that needs the socket, the store
// or other courses alone: a broken file of courses.d is a warning to it, for
// what is published already must stay in reach.
func (a *app) usable() (*config.Config, error) {
	cfg, err := a.loadUsable()
	if err == nil {
		a.warnBroken(cfg)
	}
	return cfg, err
}

func (a *app) loadUsable() (*config.Config, error) {
	file, err := a.configPath()
	if err != nil {
		return nil, err
	}
	return config.LoadUsable(file)
}

func (a *app) warnBroken(cfg *config.Config) {
	if len(cfg.Broken) == 0 {
		return
	}
	for i, p := range cfg.Broken {
		if i == shownMistakes {
			fmt.Fprintf(a.err, "warning: and %d more; \"satchel config check\" tells them all\n", len(cfg.Broken)-i)
			break
		}
		fmt.Fprintf(a.err, "warning: %s\n", p)
	}
	fmt.Fprintf(a.err, "warning: this command goes on without %s; a running service keeps its former configuration\n", strings.Join(brokenFiles(cfg), ", "))
}

// brokenFiles are those that were left out, as they lie below the
// configuration's folder.
func brokenFiles(cfg *config.Config) (files []string) {
	for _, p := range cfg.Broken {
		files = append(files, filepath.Join(filepath.Base(filepath.Dir(p.File)), filepath.Base(p.File)))
	}
	return slices.Compact(files)
}

// unknownCourse is the error for a name that no course has.
func unknownCourse(cfg *config.Config, name string) error {
	without := ""
	if files := brokenFiles(cfg); len(files) > 0 {
		without = " (" + strings.Join(files, ", ") + " left out as broken)"
	}
	return fmt.Errorf("there is no course %q in %s%s; \"satchel status\" lists them", name, cfg.File, without)
}
