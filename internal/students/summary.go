package students

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/store"
)

// Summary says how a course stands. A student with several servers counts
// once for each. DidNotRun, Images and Keys are about all servers of the site:
// one on which the agent never ran has no receipt that would name a course.
type Summary struct {
	Course    string         `json:"course"`
	Servers   int            `json:"servers"`     // with a receipt of this course
	Versions  []VersionCount `json:"versions"`    // newest first
	Agents    []AgentCount   `json:"agents"`      // oldest first
	Troubled  int            `json:"troubled"`    // whose last receipt has a code or failed paths
	Waiting   int            `json:"waiting"`     // whose last receipt has something waiting
	DidNotRun int            `json:"did_not_run"` // agent did not run after the last login
	Images    []ImageCount   `json:"images"`      // of those, most first
	Keys      []KeysCount    `json:"keys"`        // by the keys that agents trust, most first
	Counts    []Count        `json:"counts"`      // mode counts: this course's, and the logins and requests
}

// VersionCount is how many servers have one version.
type VersionCount struct {
	Version bundle.Version `json:"version"`
	N       int            `json:"n"`
}

// AgentCount is how many servers have one version of the agent.
type AgentCount struct {
	Agent string `json:"agent"`
	N     int    `json:"n"`
}

// ImageCount is how many logins to one image stayed without a request.
type ImageCount struct {
	Image string `json:"image"`
	N     int    `json:"n"`
}

// KeysCount is how many servers trust exactly these keys (their ids, joined by
// commas).
type KeysCount struct {
	Keys string `json:"keys"`
	N    int    `json:"n"`
}

// Summarize reads all records (and counts) and sums up one course.
func Summarize(ctx context.Context, st store.Store, course string, now time.Time) (*Summary, error) {
	s := &Summary{Course: course, Versions: []VersionCount{}, Agents: []AgentCount{}, Images: []ImageCount{}, Keys: []KeysCount{}, Counts: []Count{}}
	versions, agents, images, keys := map[bundle.Version]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for student, err := range All(ctx, st) {
		if err != nil {
			return nil, err
		}
		for i := range student.Servers {
			v := &student.Servers[i]
			if v.State(now) == DidNotRun {
				s.DidNotRun++
				images[v.Login.Image]++
			}
			if len(v.Trust.Keys) > 0 {
				keys[strings.Join(v.Trust.Keys, ",")]++
			}
			for _, c := range v.Courses {
				if c.Course == course {
					s.add(c)
					versions[c.Version]++
					agents[c.Agent]++
				}
			}
		}
	}
	for v, n := range versions {
		s.Versions = append(s.Versions, VersionCount{v, n})
	}
	for a, n := range agents {
		s.Agents = append(s.Agents, AgentCount{a, n})
	}
	for i, n := range images {
		s.Images = append(s.Images, ImageCount{i, n})
	}
	for k, n := range keys {
		s.Keys = append(s.Keys, KeysCount{k, n})
	}
	s.sort()
	return s, s.addCounts(ctx, st)
}

func (s *Summary) add(c CourseReceipt) {
	s.Servers++
	if c.Code != "" || len(c.Failed) > 0 {
		s.Troubled++
	}
	if c.Waiting > 0 {
		s.Waiting++
	}
}

func (s *Summary) sort() {
	slices.SortFunc(s.Versions, func(a, b VersionCount) int { return cmp.Compare(b.Version, a.Version) })
	slices.SortFunc(s.Agents, func(a, b AgentCount) int { return compareAgents(a.Agent, b.Agent) })
	slices.SortFunc(s.Images, func(a, b ImageCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Image, b.Image))
	})
	slices.SortFunc(s.Keys, func(a, b KeysCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Keys, b.Keys))
	})
}

func (s *Summary) addCounts(ctx context.Context, st store.Store) error {
	led, _, err := readLedger(ctx, st)
	if err != nil {
		return err
	}
	for _, c := range led.Counts {
		if c.Course == s.Course || c.Course == "" {
			s.Counts = append(s.Counts, c)
		}
	}
	return nil
}

// compareAgents orders versions such as 1.9.0, v1.10.0 and 1.10.0-rc1 by their
// numbers; what has none is oldest.
func compareAgents(a, b string) int {
	return cmp.Or(slices.Compare(numbers(a), numbers(b)),
		cmp.Compare(strings.Count(b, "-"), strings.Count(a, "-")), cmp.Compare(a, b))
}

func numbers(version string) (out []int) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return out
		}
		out = append(out, n)
	}
	return out
}
