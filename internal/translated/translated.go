// Package translated knows the IPv6 addresses behind which a network puts IPv4
// ones: whoever connects to 64:ff9b::a9fe:a9fe may come out at 169.254.169.254.
package translated

import "net/netip"

// at says where in an address of that prefix the IPv4 address stands.
var at = []struct {
	prefix netip.Prefix
	from   int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64 (RFC 6052)
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64 of a site's own (RFC 8215), as it is mostly cut
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4 (RFC 3056)
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible (RFC 4291, given up)
}

// To is the IPv4 address that an IPv6 one leads to; any other address as it
// is, without a zone.
func To(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() || a.IsUnspecified() || a.IsLoopback() {
		return a
	}
	bytes := a.As16()
	for _, t := range at {
		if t.prefix.Contains(a) {
			return netip.AddrFrom4([4]byte(bytes[t.from : t.from+4]))
		}
	}
	return a
}
