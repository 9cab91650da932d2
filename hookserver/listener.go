package hookserver

import (
	"io"
	"net"
	"net/netip"
	"sync"
)

// capped gives connections of l, at most all of them at once: who comes then
// waits in the kernel's queue. At most each of these are of one address, for
// one could take every place else: what is too many is closed. Negative, each
// is no limit.
//
// It is one listener and not two, and the connections are its own: net/http
// sends a file by sendfile only where the connection it was given has ReadFrom.
func capped(l net.Listener, all, each int) net.Listener {
	return &cappedListener{Listener: l, each: each, places: make(chan struct{}, all), closed: make(chan struct{}), open: map[netip.Addr]int{}}
}

type cappedListener struct {
	net.Listener
	each   int
	places chan struct{} // one word for each open connection
	once   sync.Once
	closed chan struct{}
	mu     sync.Mutex
	open   map[netip.Addr]int
}

func (l *cappedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		from := addressOf(c)
		if l.enter(from) {
			return &cappedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		_ = c.Close() // nothing was said on it
	}
}

func (l *cappedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// addressOf is where a connection comes from; the zero address where that is
// none of TCP.
func addressOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (l *cappedListener) enter(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.each >= 0 && l.open[from] >= l.each {
		return false
	}
	l.open[from]++
	return true
}

func (l *cappedListener) leave(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
	<-l.places
}

// cappedConn gives back its place when it is closed.
type cappedConn struct {
	net.Conn
	leave func()
}

func (c *cappedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// ReadFrom is the connection's own, which knows sendfile.
func (c *cappedConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }
