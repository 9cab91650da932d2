package workdir

import "testing"

// A fault of what is done beside comes to who waits for it, after all of it
// has ended.
func TestAFaultBesideComesToWhoWaits(t *testing.T) {
	faulty := func(name string, do func(fault func(int))) {
		done := make([]bool, 20)
		defer func() {
			if r := recover(); r != "a fault" {
				t.Errorf("%s: %v", name, r)
			}
			for i, is := range done {
				if !is && i != 3 {
					t.Errorf("%s: %d was not done", name, i)
				}
			}
		}()
		do(func(i int) {
			if i == 3 {
				panic("a fault")
			}
			done[i] = true
		})
		t.Errorf("%s: nothing is told", name)
	}
	all := make([]int, 20)
	for i := range all {
		all[i] = i
	}
	faulty("each", func(do func(int)) { each(4, all, do) })
	faulty("pool", func(do func(int)) {
		p := newPool(4)
		for _, i := range all {
			p.Go(func() { do(i) })
		}
		p.wait()
	})
}
