package hookserver

import (
	"net"
	"net/netip"
	"sync"
)

// perAddress gives connections of l, at most so many of one address at once:
// one address could take every place else. What is too many is closed.
func perAddress(l net.Listener, most int) net.Listener {
	if most < 0 {
		return l
	}
	return &addressListener{Listener: l, most: most, open: map[netip.Addr]int{}}
}

type addressListener struct {
	net.Listener
	most int
	mu   sync.Mutex
	open map[netip.Addr]int
}

func (l *addressListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := c.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return c, nil
		}
		from := tcp.AddrPort().Addr().Unmap()
		if l.enter(from) {
			return &addressConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		_ = c.Close() // nothing was said on it
	}
}

func (l *addressListener) enter(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

func (l *addressListener) leave(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

type addressConn struct {
	net.Conn
	leave func()
}

func (c *addressConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
