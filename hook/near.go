package hook

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
)

// errFar: the address is not of this network.
var errFar = errors.New("the address is outside this network, and what is to be sent belongs on no other")

// shared is carriers' address space (RFC 6598), which some clusters use inside.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// onlyNear refuses to connect to an address that is not of this machine or of
// a private network. It looks at the address that the name led to.
func onlyNear(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errFar
	}
	a := at.Addr().Unmap()
	if a.IsLoopback() || a.IsPrivate() || shared.Contains(a) {
		return nil
	}
	return errFar
}
