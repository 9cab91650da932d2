package listen

import (
	"net"
	"testing"
)

// (A machine without IPv4 is tried in e2e.)
func TestEveryAddressIsOfBothFamilies(t *testing.T) {
	l, err := At(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Error(err)
			continue
		}
		c.Close()
	}
	if again, err := At(":" + port); err == nil {
		t.Errorf("%s twice", again.Addr())
	}
}

func TestHereIsThisMachineAlone(t *testing.T) {
	l, err := Here()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a := l.Addr().(*net.TCPAddr); !a.IP.IsLoopback() {
		t.Errorf("it listens on %s", a)
	}
}
