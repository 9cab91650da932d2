package panics

import (
	"sync"
	"testing"
)

func TestTheFirstFaultComesToWhoWaits(t *testing.T) {
	var c Catcher
	var wg sync.WaitGroup
	wg.Go(func() { defer c.Catch() })
	wg.Go(func() { defer c.Catch(); panic("a fault") })
	wg.Wait()
	defer func() {
		if r := recover(); r != "a fault" {
			t.Errorf("%v", r)
		}
		c.Rethrow() // it was told
	}()
	c.Rethrow()
	t.Error("nothing is told")
}
