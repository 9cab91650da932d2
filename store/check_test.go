package store_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"satchel/store"
)

// without takes headers away, as servers do that do not know them.
func without(headers ...string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range headers {
				r.Header.Del(name)
			}
			h.ServeHTTP(w, r)
		})
	}
}

func TestCheckConditionsFindsAServerThatIgnoresThem(t *testing.T) {
	for _, headers := range [][]string{{"If-Match"}, {"If-None-Match"}, {"If-Match", "If-None-Match"}} {
		s := newS3(t, fakeS3(t, without(headers...)))
		err := store.CheckConditions(t.Context(), s)
		if !errors.Is(err, store.ErrConditions) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("without %v: %v; want ErrConditions", headers, err)
		}
		for o := range s.List(t.Context(), "", "") {
			t.Errorf("without %v: %s stays", headers, o.Key)
		}
	}
}

// TestCheckConditionsKnowsOtherErrors: no answer is not "ignores conditions".
func TestCheckConditionsKnowsOtherErrors(t *testing.T) {
	s := newS3(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusForbidden, "AccessDenied", "Access Denied")
	})))
	err := store.CheckConditions(t.Context(), s)
	if err == nil || errors.Is(err, store.ErrConditions) || !strings.Contains(err.Error(), "s3:PutObject") {
		t.Errorf("access denied: %v", err)
	}
}
