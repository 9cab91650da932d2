package main

import (
	"testing"
	"time"

	"satchel/hook"
)

// What a login does beside can hang or be at fault: it is as if there had been
// no answer, and no later than was said.
func TestWhatALoginDoesBeside(t *testing.T) {
	want := &hook.Answer{}
	if got, done := within(time.Minute, func() *hook.Answer { return want }); got != want || !done {
		t.Errorf("%v %t", got, done)
	}
	if got, done := within(time.Minute, func() *hook.Answer { panic("a fault") }); got != nil || done {
		t.Errorf("a fault: %v %t", got, done)
	}
	hung := make(chan struct{})
	defer close(hung)
	if got, done := within(time.Millisecond, func() *hook.Answer { <-hung; return want }); got != nil || done {
		t.Errorf("a home that hangs: %v %t", got, done)
	}
}
