package hook

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"satchel/internal/translated"
)

// errFar: the address is not of this network.
var errFar = errors.New("the address is outside this network, and what is to be sent belongs on no other")

// shared is carriers' address space (RFC 6598), which some clusters use inside.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// credentials are clouds' addresses for what Routed leaves out that are not
// link-local: Amazon's and Google's over IPv6.
var credentials = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254")}

// Reach says to which addresses a Client connects. It is judged by the address
// that a name led to.
type Reach int

const (
	Anywhere Reach = iota
	Near           // this machine and private networks
	Here           // this machine
	Routed         // all but link-local addresses and their like, where clouds hand out a machine's credentials
)

// allow is a net.Dialer's ControlContext.
func (r Reach) allow(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errFar
	}
	a := at.Addr().Unmap()
	if to := translated.To(a); r == Routed && !to.IsLinkLocalUnicast() && !slices.Contains(credentials, to) {
		return nil
	}
	if a.IsLoopback() || r == Near && (a.IsPrivate() || shared.Contains(a)) {
		return nil
	}
	return errFar
}
