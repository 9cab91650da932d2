//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/config"
	"satchel/internal/release"
)

// attendee is a student of a term: what an agent would remember, and when they
// log in. A few keep every byte, and check it.
type attendee struct {
	name   string
	groups []string
	in     []*enrolled
	parts  []int // of days, in which they log in
	away   bool  // for some weeks in the middle
	seldom bool
	etag   string
	some   *rand.Rand
	kept   *witness // nil: what comes is read and forgotten
}

// enrolled is one course of a student's.
type enrolled struct {
	c       *termCourse
	have    hook.Have
	checked time.Time // by the head they hold
}

func (tm *term) makeStudents() {
	for i := range tm.size.Students {
		s := &attendee{name: fmt.Sprintf("student%05d", i), some: tm.random(forLogins, i, 0)}
		for _, c := range tm.enrol(tm.random(forEnrolment, i, 0)) {
			s.in = append(s.in, &enrolled{c: c})
			s.groups = append(s.groups, c.name)
		}
		s.schedule(tm.random(forSchedule, i, 0), tm.size.Weeks)
		tm.students = append(tm.students, s)
	}
	tm.chooseKept()
}

// enrol chooses one to three courses; the course of a rank is wanted by about
// 1/(rank+2).
func (tm *term) enrol(some *rand.Rand) (out []*termCourse) {
	all := 0.0
	for r := range tm.courses {
		all += 1 / float64(r+2)
	}
	for n := min(1+some.IntN(3), len(tm.courses)); len(out) < n; {
		at := some.Float64() * all
		for r, c := range tm.courses {
			if at -= 1 / float64(r+2); at > 0 {
				continue
			}
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
			break
		}
	}
	return out
}

// schedule chooses when a student logs in: from a day of the first two weeks
// on, three to five times a week, mostly on working days; one in ten only each
// second week; and one in ten is away for four weeks in the middle.
func (s *attendee) schedule(some *rand.Rand, weeks int) {
	s.seldom, s.away = some.IntN(10) == 0, some.IntN(10) == 0
	gone := min(4, weeks/3)
	from := (weeks - gone) / 2
	first := partOfWeek(some) + partsOfWeek*some.IntN(min(2, weeks))
	odd := some.IntN(2)
	for w := range weeks {
		n := 3 + some.IntN(3)
		if s.seldom {
			n = (w + odd) % 2
		}
		parts := map[int]bool{}
		for len(parts) < n {
			parts[w*partsOfWeek+partOfWeek(some)] = true
		}
		if s.away && w >= from && w < from+gone {
			continue
		}
		for part := range parts {
			if part > first {
				s.parts = append(s.parts, part)
			}
		}
	}
	s.parts = append(s.parts, first)
	slices.Sort(s.parts)
}

func partOfWeek(some *rand.Rand) int {
	if some.IntN(100) < 8 {
		return 5*partsOfDay + some.IntN(2*partsOfDay)
	}
	return some.IntN(5 * partsOfDay)
}

// logins lets those log in whose time it is, a few at once, in any order.
func (tm *term) logins(part int) {
	tm.t.Helper()
	var now []*attendee
	for _, s := range tm.students {
		if _, ok := slices.BinarySearch(s.parts, part); ok {
			now = append(now, s)
		}
	}
	some := tm.random(forLogins, 1<<31, part)
	some.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
	g, ctx := errgroup.WithContext(tm.ctx())
	g.SetLimit(atOnceInTerm)
	for i, s := range now {
		at := tm.at(part).Add(time.Duration(i) * 4 * time.Hour / time.Duration(len(now)))
		g.Go(func() error {
			if err := s.login(ctx, tm, at); err != nil {
				return fmt.Errorf("%s in part %d: %w", s.name, part, err)
			}
			return nil
		})
	}
	must(tm.t, g.Wait())
}

const atOnceInTerm = 8

// login is what an agent does: one question, what came is read, and for each
// course in which something changed a receipt. One in a hundred then asks for
// contents by digest, as restore and a lost base do.
func (s *attendee) login(ctx context.Context, tm *term, now time.Time) error {
	client, err := tm.line.client(ctx, s)
	if err != nil {
		return err
	}
	a, err := client.Sync(ctx, s.haves(), tm.line.keyIDs, s.etagAt(now))
	tm.line.count.logins.Add(1)
	if tm.line.limited(err) {
		return nil
	}
	if err != nil {
		return err
	}
	receipts, err := s.take(tm, a)
	if err := errors.Join(err, a.Close()); err != nil {
		return err
	}
	for _, r := range receipts {
		tm.line.count.receipts.Add(1)
		if err := client.Receipt(ctx, r); err != nil && !tm.line.limited(err) {
			return err
		}
	}
	if s.some.IntN(100) == 0 {
		err = s.restore(ctx, tm, client)
	}
	if s.kept != nil {
		err = errors.Join(err, s.checkTrees())
	}
	return err
}

func (s *attendee) haves() (out []hook.Have) {
	for _, e := range s.in {
		if e.have.Version > 0 {
			out = append(out, e.have)
		}
	}
	return out
}

// etagAt is the last answer's while all heads are of the last 24 hours, as in
// package agent.
func (s *attendee) etagAt(now time.Time) string {
	for _, e := range s.in {
		if now.Sub(e.checked) > 24*time.Hour {
			return ""
		}
	}
	return s.etag
}

// take reads an answer to its end.
func (s *attendee) take(tm *term, a *hook.Answer) (receipts []hook.Receipt, err error) {
	if a.NotModified {
		tm.line.count.notModified.Add(1)
		return nil, nil
	}
	for {
		_, f, r, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && s.kept != nil {
			err = s.kept.read(tm.seen, f.Frame, r)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(a.Offer.Courses) != len(s.in) {
		return nil, fmt.Errorf("%d courses are offered; the student is in %d", len(a.Offer.Courses), len(s.in))
	}
	s.etag = a.ETag
	for _, o := range a.Offer.Courses {
		i := slices.IndexFunc(s.in, func(e *enrolled) bool { return e.c.name == o.Course })
		if i < 0 || o.Head == nil || o.State != "" {
			return nil, fmt.Errorf("the offer of %s is not for this student, or away (%q)", o.Course, o.State)
		}
		r, err := s.in[i].move(s.kept, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.Course, err)
		}
		if r != nil {
			receipts = append(receipts, *r)
		}
	}
	if s.kept != nil {
		s.kept.forget()
	}
	return receipts, nil
}

// move remembers what an offer leads to. It gives a receipt where anything
// changed.
func (e *enrolled) move(k *witness, o hook.CourseOffer) (*hook.Receipt, error) {
	h, err := o.Head.Peek()
	if k != nil {
		h, err = o.Head.Open(k.keys)
	}
	if err != nil {
		return nil, err
	}
	if h.Version != e.c.version {
		return nil, fmt.Errorf("version %d came; the newest is %d", h.Version, e.c.version)
	}
	r := hook.Receipt{Course: o.Course, Version: h.Version, Agent: release.Version}
	var ids []string
	for _, ch := range o.Channels {
		ids = append(ids, ch.ID)
		r.Removed += len(ch.Changes.Removed)
		if ch.Base.IsZero() {
			r.Added += len(ch.Changes.Set)
		} else {
			r.Changed += len(ch.Changes.Set)
		}
	}
	if k != nil {
		if err := k.apply(h, o); err != nil {
			return nil, err
		}
	}
	was := e.have.Version
	e.have = hook.Have{Course: o.Course, Version: h.Version, Fingerprint: h.Fingerprint(), Channels: ids}
	e.checked = h.Checked
	if was == h.Version {
		return nil, nil
	}
	return &r, nil
}

// restore asks for one to three contents of a course by their digests.
func (s *attendee) restore(ctx context.Context, tm *term, client *hook.Client) error {
	c := s.in[s.some.IntN(len(s.in))].c
	want := map[bundle.Digest]bool{}
	var list []bundle.Digest
	for range 1 + s.some.IntN(3) {
		if d := c.files[c.paths[s.some.IntN(len(c.paths))]].Digest; !want[d] {
			want[d], list = true, append(list, d)
		}
	}
	tm.line.count.asked.Add(1)
	a, err := client.Files(ctx, c.name, list)
	if tm.line.limited(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		_, f, r, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = bundle.ReadFrame(f.Frame, r, noBase, func(it bundle.Item, r *bundle.Verifier) error {
				delete(want, it.Digest)
				_, err := io.Copy(io.Discard, r)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("restore of %s: %w", c.name, err)
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("restore of %s: %d of %d contents did not come", c.name, len(want), len(list))
	}
	return nil
}

func noBase(d bundle.Digest) (bundle.Base, error) {
	return nil, fmt.Errorf("a content that was asked for comes as a delta on %s", d)
}

// witness is what a student has who keeps every byte: the check that all of it is
// real.
type witness struct {
	keys  []bundle.PublicKey
	disk  map[bundle.Digest]*content
	trees map[string]map[string]*bundle.Manifest // by course and channel
}

// content is one that somebody holds.
type content struct {
	data []byte
	id   string // git's
}

// heldBytes lets students share the bytes of contents that each has made, and
// checked, from what it was sent.
type heldBytes struct {
	mu    sync.Mutex
	known map[bundle.Digest]*content
}

func (x *heldBytes) keep(d bundle.Digest, data []byte) *content {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known[d] == nil {
		sum := sha1.New()
		fmt.Fprintf(sum, "blob %d\x00", len(data))
		sum.Write(data)
		x.known[d] = &content{data, hex.EncodeToString(sum.Sum(nil))}
	}
	return x.known[d]
}

// forget lets go of what nobody holds.
func (x *heldBytes) forget(students []*attendee) {
	x.known = map[bundle.Digest]*content{}
	for _, s := range students {
		if s.kept != nil {
			for d, c := range s.kept.disk {
				x.known[d] = c
			}
		}
	}
}

// chooseKept chooses for each course one student in it who keeps every byte:
// some who are away for weeks, some who come seldom, and others.
func (tm *term) chooseKept() {
	keys := tm.line.publicKeys
	for i, c := range tm.courses {
		var best *attendee
		for _, s := range tm.students {
			in := slices.ContainsFunc(s.in, func(e *enrolled) bool { return e.c == c })
			if !in || s.kept != nil {
				continue
			}
			best = s
			if s.away == (i%3 == 0) && s.seldom == (i%3 == 1) {
				break
			}
		}
		if best != nil {
			best.kept = &witness{keys: keys, disk: map[bundle.Digest]*content{}, trees: map[string]map[string]*bundle.Manifest{}}
		}
	}
}

// read decodes a frame, from contents at hand where it is a delta.
func (k *witness) read(all *heldBytes, f bundle.Frame, r io.Reader) error {
	base := func(d bundle.Digest) (bundle.Base, error) {
		if k.disk[d] == nil {
			return nil, fmt.Errorf("a delta on %s, which this student has not", d)
		}
		return bundle.BaseBytes(k.disk[d].data), nil
	}
	got := map[bundle.Digest][]byte{}
	err := bundle.ReadFrame(f, r, base, func(it bundle.Item, r *bundle.Verifier) error {
		data, err := io.ReadAll(r)
		got[it.Digest] = data
		return err
	})
	if err != nil {
		return err
	}
	for d, data := range got {
		k.disk[d] = all.keep(d, data)
	}
	return nil
}

// apply moves the manifests of a course on, and checks that they are those of
// the signed head and that all their bytes are here.
func (k *witness) apply(h *bundle.Head, o hook.CourseOffer) error {
	trees := map[string]*bundle.Manifest{}
	for _, ch := range o.Channels {
		base := k.trees[o.Course][ch.ID]
		if ch.Base.IsZero() {
			base = nil
		} else if base == nil || base.Digest() != ch.Base {
			return fmt.Errorf("channel %s is offered on a base that the student has not", ch.ID)
		}
		m, err := base.Apply(ch.Changes)
		if err != nil {
			return err
		}
		if want, ok := h.Channel(ch.ID); !ok || m.Digest() != want {
			return fmt.Errorf("channel %s is not what the head names", ch.ID)
		}
		for _, f := range m.Files {
			if x := k.disk[f.Digest]; x == nil || int64(len(x.data)) != f.Size {
				return fmt.Errorf("the bytes of %s did not come", f.Path)
			}
		}
		trees[ch.ID] = m
	}
	k.trees[o.Course] = trees
	return nil
}

// forget lets go of bytes that no newest manifest names.
func (k *witness) forget() {
	disk := map[bundle.Digest]*content{}
	for _, trees := range k.trees {
		for _, m := range trees {
			for _, f := range m.Files {
				disk[f.Digest] = k.disk[f.Digest]
			}
		}
	}
	k.disk = disk
}

// checkTrees compares the student's courses with the repositories.
func (s *attendee) checkTrees() error {
	for _, e := range s.in {
		n := 0
		for _, m := range s.kept.trees[e.c.name] {
			for _, f := range m.Files {
				if n++; s.kept.disk[f.Digest].id != e.c.tree[f.Path] {
					return fmt.Errorf("%s: %s is not the repository's", e.c.name, f.Path)
				}
			}
		}
		if n != len(e.c.tree) {
			return fmt.Errorf("%s: %d files; the repository has %d", e.c.name, n, len(e.c.tree))
		}
	}
	return nil
}

// termLine is how students reach the service: a few connections that are kept,
// as from a proxy, on which bytes are counted.
type termLine struct {
	v          *service
	cfg        *config.Config
	tickets    hook.TicketKeys
	secret     string
	publicKeys []bundle.PublicKey
	keyIDs     []string
	http       *http.Client
	count      termCounters
}

func newTermLine(t testing.TB, v *service, cfg *config.Config) *termLine {
	l := &termLine{v: v, cfg: cfg}
	text, err := os.ReadFile(cfg.Secrets.TicketKeys[0])
	must(t, err)
	key, err := hook.ParseTicketKey(text)
	must(t, err)
	l.tickets = hook.TicketKeys{key}
	text, err = os.ReadFile(cfg.Secrets.HookSecrets[0])
	must(t, err)
	l.secret = strings.TrimSpace(string(text))
	text, err = os.ReadFile(cfg.Secrets.PublicKeys)
	must(t, err)
	l.publicKeys, err = bundle.ParsePublicKeys(string(text))
	must(t, err)
	for _, k := range l.publicKeys {
		l.keyIDs = append(l.keyIDs, k.ID())
	}
	l.http = &http.Client{Transport: l.transport(false)}
	t.Cleanup(l.http.CloseIdleConnections)
	return l
}

// transport keeps connections, or makes one for each request.
func (l *termLine) transport(anew bool) *http.Transport {
	return &http.Transport{
		DisableCompression: true, DisableKeepAlives: anew, MaxIdleConnsPerHost: 2 * atOnceInTerm,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &countedConn{c, &l.count}, err
		},
	}
}

type countedConn struct {
	net.Conn
	count *termCounters
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.count.sent.Add(int64(n))
	return n, err
}

// client is a student's, with a ticket for this login. Who keeps every byte
// gets it as the hub's hook does; for the others it is made here, for the
// service takes 500 logins a second from the hub, and here a week takes
// seconds.
func (l *termLine) client(ctx context.Context, s *attendee) (*hook.Client, error) {
	ticket, err := "", error(nil)
	if s.kept != nil {
		ticket, err = l.post(ctx, s)
	} else {
		ticket, err = l.mint(s)
	}
	return l.with(l.http, ticket), err
}

func (l *termLine) with(h *http.Client, ticket string) *hook.Client {
	return hook.NewClient(hook.ClientOptions{
		URL: "http://" + l.v.students, Ticket: func() string { return ticket }, Agent: "satchel-agent/" + release.Version, HTTP: h,
	})
}

func (l *termLine) mint(s *attendee) (string, error) {
	now := time.Now()
	return l.tickets.Mint(hook.Ticket{
		Audience: l.cfg.ID, User: s.name, Groups: s.groups, Issued: now.Unix(), Expires: now.Add(hook.TicketLife).Unix(), ID: "term", Login: now.Unix(),
	})
}

// post is what the hub's hook does.
func (l *termLine) post(ctx context.Context, s *attendee) (string, error) {
	l.count.posted.Add(1)
	body, err := json.Marshal(hook.Login{User: s.name, Groups: s.groups})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.v.hubs+"/v1/logins", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+l.secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var adm hook.Admission
	if err := json.NewDecoder(resp.Body).Decode(&adm); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("login: %d %w", resp.StatusCode, err)
	}
	return adm.Ticket, nil
}

// limited says whether a limit of the service answered, and counts it.
func (l *termLine) limited(err error) bool {
	var e *hook.Error
	if !errors.As(err, &e) || e.Status != http.StatusTooManyRequests {
		return false
	}
	l.count.limited.Add(1)
	return true
}

// termCounters are what students did.
type termCounters struct {
	logins, notModified, receipts, asked, posted, limited, sent atomic.Int64
}

// termCounts are they at one moment, or in a time.
type termCounts struct {
	Logins      int64 `json:"logins"`
	NotModified int64 `json:"not_modified"` // of the logins
	Receipts    int64 `json:"receipts"`
	Asked       int64 `json:"asked"`   // requests for contents by digest
	Posted      int64 `json:"posted"`  // logins of the hub's hook
	Limited     int64 `json:"limited"` // answers of a limit
	Sent        int64 `json:"sent"`    // bytes from the service to students, with HTTP's own
}

func (c *termCounters) read() termCounts {
	return termCounts{c.logins.Load(), c.notModified.Load(), c.receipts.Load(), c.asked.Load(), c.posted.Load(), c.limited.Load(), c.sent.Load()}
}

func (a termCounts) minus(b termCounts) termCounts {
	return termCounts{a.Logins - b.Logins, a.NotModified - b.NotModified, a.Receipts - b.Receipts, a.Asked - b.Asked, a.Posted - b.Posted, a.Limited - b.Limited, a.Sent - b.Sent}
}

// requests are all that students sent.
func (a termCounts) requests() int64 { return a.Logins + a.Receipts + a.Asked }
