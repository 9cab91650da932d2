package syncer

import (
	"net/http/httptest"
	"strings"
	"testing"

	"satchel/course"
)

// A hookserver in another process hands a webhook on: with the secret alone,
// and for courses that are there.
func TestHintsFromAnotherProcess(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	hinted := make(chan course.Name, 10)
	l := &loop{lg: testLog(t), workers: map[course.Name]*worker{"scala101": {hints: make(chan struct{}, 1)}}}
	y.attach(l, func() []course.Course { return []course.Course{s.c} })
	web := httptest.NewServer(y.Hints(func() []string { return []string{"", "the-new-secret", "the-old-secret"} }))
	defer web.Close()
	for _, secret := range []string{"the-new-secret", "the-old-secret"} {
		if err := SendHint(t.Context(), web.URL+"/", secret, HintRequest{Course: "scala101", Host: "github"}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-l.workers["scala101"].hints:
			hinted <- "scala101"
		default:
			t.Error("nobody looks")
		}
	}
	if st := y.board.status().Courses[0]; st.Webhook.IsZero() || st.WebhookFrom != "github" {
		t.Errorf("%+v", st)
	}
	for secret, says := range map[string]string{"": "control secret", "other": "control secret"} {
		if err := SendHint(t.Context(), web.URL, secret, HintRequest{Course: "scala101"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if err := SendHint(t.Context(), web.URL, "the-new-secret", HintRequest{Course: "other"}); err == nil || !strings.Contains(err.Error(), "no course") {
		t.Errorf("%v", err)
	}
	if len(l.workers["scala101"].hints) > 0 || len(hinted) != 2 {
		t.Error("what was refused is a look")
	}
}
