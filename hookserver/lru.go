package hookserver

import (
	"container/list"
	"sync"
)

// lru keeps what was used last, within a budget. A cost is roughly bytes.
type lru[K comparable, V any] struct {
	mu     sync.Mutex
	budget int64
	used   int64
	order  *list.List // of *lruEntry, newest first
	at     map[K]*list.Element
}

type lruEntry[K comparable, V any] struct {
	key  K
	val  V
	cost int64
}

func newLRU[K comparable, V any](budget int64) *lru[K, V] {
	return &lru[K, V]{budget: budget, order: list.New(), at: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.at[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruEntry[K, V]).val, true
}

// put keeps v unless it alone is a quarter of the budget.
func (l *lru[K, V]) put(k K, v V, cost int64) {
	if cost > l.budget/4 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.at[k]; ok {
		l.drop(e)
	}
	l.at[k] = l.order.PushFront(&lruEntry[K, V]{k, v, cost})
	l.used += cost
	for l.used > l.budget {
		l.drop(l.order.Back())
	}
}

func (l *lru[K, V]) drop(e *list.Element) {
	x := e.Value.(*lruEntry[K, V])
	l.order.Remove(e)
	delete(l.at, x.key)
	l.used -= x.cost
}
