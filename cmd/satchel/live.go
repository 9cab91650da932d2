//go:build unix

package main

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/hookserver"
	"satchel/internal/config"
)

// live is the configuration and the keys as they are now. Readers take what
// they need each time; changed wakes the syncer's loop.
type live struct {
	halves  halves
	changed chan struct{}
	newer   chan struct{} // the syncer published: the hookserver looks at once

	mu   sync.RWMutex
	cfg  *config.Config
	keys keys
}

// keys are what the halves hold; each half reads only its own files.
type keys struct {
	signing []bundle.SigningKey // syncer
	public  []bundle.PublicKey  // hookserver
	hook    [][]byte
	ticket  hook.TicketKeys
	hub     string // this service's token of the hub; "" without one
	control []string
	webhook map[string]hookserver.Webhook // by course
}

func newLive(cfg *config.Config, h halves) (*live, error) {
	l := &live{halves: h, changed: make(chan struct{}, 1), newer: make(chan struct{}, 1), cfg: cfg}
	var err error
	l.keys, err = readKeys(cfg, h)
	return l, err
}

// take makes next the configuration; with a key that cannot be read the
// former stays, as a whole.
func (l *live) take(lg *slog.Logger, next *config.Config) {
	k, err := readKeys(next, l.halves)
	if err != nil {
		lg.Error("configuration not taken up, the former one stays", "error", err)
		return
	}
	l.mu.Lock()
	l.cfg, l.keys = next, k
	l.mu.Unlock()
	lg.Info("configuration taken up", "courses", len(next.Courses))
	wake(l.changed)
}

// wake leaves a word for whoever listens on c, unless one is there already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// config is not to be changed: it is replaced as a whole.
func (l *live) config() *config.Config {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.cfg
}

func (l *live) courses() []course.Course { return l.config().Courses }

func (l *live) held() keys {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.keys
}

// knownToStudents refuses signing keys of which students' servers are given none; where
// this half cannot read what they are given, the other checks what it signs.
func knownToStudents(cfg *config.Config, signing []bundle.SigningKey) error {
	text, err := config.ReadFile(cfg.Secrets.PublicKeys)
	if err != nil {
		return nil
	}
	keys, err := bundle.ParsePublicKeys(string(text))
	if err != nil || len(signing) == 0 {
		return nil
	}
	for _, s := range signing {
		if slices.ContainsFunc(keys, func(p bundle.PublicKey) bool { return p.String() == s.Public().String() }) {
			return nil
		}
	}
	return fmt.Errorf("%s holds the public half of no signing key, so students' servers would refuse everything: add it (\"satchel key signing FILE\" prints it)", cfg.Secrets.PublicKeys)
}

// readKeys reads the files that these halves need, and no other.
func readKeys(cfg *config.Config, h halves) (k keys, err error) {
	if cfg.Listen.Syncer != "" && h.syncer || cfg.SyncerURL != "" && h.hookserver {
		for _, file := range cfg.Secrets.Control {
			s, err := config.ReadSecret(file)
			if err != nil {
				return k, err
			}
			k.control = append(k.control, s.Reveal())
		}
	}
	if h.syncer {
		if k.signing, err = signingKeys(cfg.Secrets.SigningKeys); err != nil {
			return k, err
		}
		if err := knownToStudents(cfg, k.signing); err != nil {
			return k, err
		}
	}
	if !h.hookserver {
		return k, nil
	}
	text, err := config.ReadFile(cfg.Secrets.PublicKeys)
	if err != nil {
		return k, fmt.Errorf("public half of the signing key: %w (\"satchel init\" makes it)", err)
	}
	if k.public, err = bundle.ParsePublicKeys(string(text)); err != nil {
		return k, fmt.Errorf("%s: %w", cfg.Secrets.PublicKeys, err)
	}
	for _, file := range cfg.Secrets.HookSecrets {
		s, err := config.ReadSecret(file)
		if err != nil {
			return k, err
		}
		k.hook = append(k.hook, []byte(s.Reveal()))
	}
	for _, file := range cfg.Secrets.TicketKeys {
		s, err := config.ReadSecret(file)
		if err != nil {
			return k, err
		}
		key, err := hook.ParseTicketKey([]byte(s.Reveal()))
		if err != nil {
			return k, fmt.Errorf("%s: %w", file, err)
		}
		k.ticket = append(k.ticket, key)
	}
	if cfg.Hub.APIURL != "" {
		s, err := config.ReadSecret(cfg.Hub.TokenFile)
		if err != nil {
			return k, err
		}
		k.hub = s.Reveal()
	}
	k.webhook = webhooks(cfg)
	return k, nil
}

// webhooks reads the secrets of webhooks. One that cannot be read is the
// concern of its course alone, and a warning of the configuration.
func webhooks(cfg *config.Config) map[string]hookserver.Webhook {
	all := map[string]hookserver.Webhook{}
	for _, c := range cfg.Courses {
		if c.Webhook == nil {
			continue
		}
		w := hookserver.Webhook{Host: c.Webhook.Host}
		for _, file := range c.Webhook.SecretFiles {
			if s, err := config.ReadSecret(file); err == nil {
				w.Secrets = append(w.Secrets, s.Reveal())
			}
		}
		all[string(c.Name)] = w
	}
	return all
}

func signingKeys(files []string) (keys []bundle.SigningKey, err error) {
	for _, file := range files {
		data, err := config.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("signing key: %w (\"satchel init\" makes it)", err)
		}
		k, err := bundle.ParseSigningKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}
