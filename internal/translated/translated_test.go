package translated

import (
	"net/netip"
	"testing"
)

func TestWhereAnAddressLeads(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:169.254.169.254": "169.254.169.254", "64:ff9b::169.254.169.254": "169.254.169.254",
		"64:ff9b:1::10.0.0.1": "10.0.0.1", "2002:a9fe:a9fe::1": "169.254.169.254", "::10.0.0.1": "10.0.0.1", "64:ff9b::8.8.8.8": "8.8.8.8",
		"::1": "::1", "::": "::", "fe80::1%eth0": "fe80::1", "fd00::1": "fd00::1", "2001:db8::1": "2001:db8::1", "64:ff9b:0:0:0:1::": "64:ff9b:0:0:0:1::",
	} {
		if got := To(netip.MustParseAddr(from)); got != netip.MustParseAddr(want) {
			t.Errorf("%s leads to %s, not %s", from, got, want)
		}
	}
}
