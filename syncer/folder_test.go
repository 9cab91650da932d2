package syncer

import (
	"errors"
	"strings"
	"testing"
)

// TestTwoCoursesWithOneFolder: the second is refused and both are named; it is
// published once it has a folder of its own, or the first is gone.
func TestTwoCoursesWithOneFolder(t *testing.T) {
	var c claims
	for range 2 {
		if c.take("Scala", "a") != "a" {
			t.Error("a course does not get its own folder")
		}
	}
	if c.take("scala", "b") != "a" {
		t.Error("capitals made two folders out of one")
	}
	if c.take("other", "a") != "a" || c.take("scala", "b") != "b" {
		t.Error("a folder that was given up is not free")
	}
	c.drop("b")
	if c.take("SCALA", "d") != "d" {
		t.Error("a removed course's folder is not free")
	}
}

func TestSecondCourseWithTheSameFolderIsRefused(t *testing.T) {
	w := newSite(t)
	w.repo.commit(map[string]string{"a.txt": "1\n", ".satchel.yaml": "folder_name: scala\n"})
	first, second := w.c, w.c
	sy := w.syncer()
	first.Name, second.Name = "one", "two"
	if _, err := sy.Sync(t.Context(), &first, Request{}); err != nil {
		t.Fatal(err)
	}
	_, err := sy.Sync(t.Context(), &second, Request{})
	var r *Refusal
	if !errors.As(err, &r) || !strings.Contains(r.Sentence, "one") || !strings.Contains(r.Sentence, "scala") {
		t.Errorf("%v; want a refusal that names the other course and the folder", err)
	}
}
