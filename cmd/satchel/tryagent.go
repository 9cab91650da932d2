//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"satchel/agent"
	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// runAgent is the student's agent, in this process: the same code as
// satchel-agent, on a folder of ours.
func runAgent(ctx context.Context, root string, adm hook.Admission, out io.Writer) error {
	keys, err := bundle.ParsePublicKeys(adm.Keys)
	if err != nil {
		return err
	}
	a, err := agent.New(slog.New(slog.DiscardHandler), agent.Settings{
		Root: root, URL: adm.URL, Ticket: agent.Secret(adm.Ticket), Keys: keys, Language: "en",
	}, agent.Options{Show: agent.Printer(out, agent.Lines, agent.WordsFor("en"))})
	if err != nil {
		return err
	}
	defer a.Close()
	if o := a.Sync(ctx, agent.SyncOptions{Mode: workdir.Start}); o.Code != "" {
		return fmt.Errorf("the agent did not finish: %s", o.Code)
	}
	return nil
}
