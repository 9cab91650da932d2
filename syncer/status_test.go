package syncer

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// TestNotesAreOfTheLookThatTheErrorIsOf: what an older commit held back says
// nothing of one that is refused, or of a repository that cannot be reached.
func TestNotesAreOfTheLookThatTheErrorIsOf(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	status := func(step, notes string) {
		t.Helper()
		st := y.board.status().Courses[0]
		got := strings.Join(st.Notes, "\n")
		if (notes == "") != (got == "") || !strings.HasPrefix(got, notes) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: error %q, notes %q; want %q", step, st.Error, st.Notes, notes)
		}
	}
	s.repo.commit(files{"a": "1", "solution.md": "x"})
	s.sync(y)
	status("published", "kept back as solutions or private: solution.md (a name")
	s.sync(y)
	status("nothing new", "kept back as solutions or private: solution.md")
	s.repo.commit(files{"a": "1", "solution.md": "x", ".satchel.yaml": "["})
	s.refused(y, Content)
	status("refused", "stops the publish: .satchel.yaml:1: ")
	s.refused(y, Content)
	status("refused without a look", "stops the publish: .satchel.yaml:1: ")
	if err := os.Rename(s.repo.dir, s.repo.dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(y); err == nil {
		t.Fatal("published from nowhere")
	}
	status("not reached", "")
	if err := os.Rename(s.repo.dir+"-away", s.repo.dir); err != nil {
		t.Fatal(err)
	}
	s.refused(y, Content)
	status("refused again", "stops the publish: .satchel.yaml:1: ")
	s.repo.git("branch", "-m", "main", "other")
	s.refused(y, Gone)
	status("branch gone", "")
	s.repo.git("branch", "-m", "other", "main")
	s.repo.commit(files{"b": "2", "private/x": "x"})
	s.refused(y, Shrink)
	status("shrunk", "kept back as solutions or private: private/… (a name")
}

// TestRefusalThatAPersonAskedForIsWarnedOfOnce: the service's log has it, too.
func TestRefusalThatAPersonAskedForIsWarnedOfOnce(t *testing.T) {
	s := newSite(t)
	var log bytes.Buffer
	y := s.syncer()
	y.lg = slog.New(slog.NewTextHandler(&log, nil))
	l := &loop{lg: y.lg, sync: y.Sync}
	y.attach(l, these(s.c))
	publish := func(want int) {
		t.Helper()
		w := httptest.NewRecorder()
		y.Control().ServeHTTP(w, httptest.NewRequest("POST", "/publish", strings.NewReader(`{"course":"scala101","who":"ana"}`)))
		if w.Code != want {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	warned := func(n int) {
		t.Helper()
		if got := strings.Count(log.String(), `level=WARN msg=refused course=scala101`); got != n {
			t.Errorf("warned %d times; want %d\n%s", got, n, &log)
		}
	}
	s.repo.commit(files{"a": "1", ".satchel.yaml": "["})
	publish(http.StatusConflict)
	publish(http.StatusConflict)
	_, _ = l.pass(t.Context(), &s.c)
	warned(1)
	if !strings.Contains(log.String(), "who=ana") {
		t.Errorf("nobody is named:\n%s", &log)
	}
	s.repo.commit(files{"a": "1", ".satchel.yaml": "{"})
	publish(http.StatusConflict)
	warned(2)
	s.repo.commit(files{"a": "1"})
	publish(http.StatusOK)
	warned(2)
}
