package agent

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve is what Satchel never fills.
const reserve = 50 << 20

func checkSpace(root string) Check {
	c := Check{Name: "space"}
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		c.Note = err.Error()
		return c
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	c.OK, c.Note = free > 2*reserve, Bytes(free)+" free"
	if !c.OK {
		c.Do = "remove something: Satchel leaves the last " + Bytes(reserve) + " alone"
	}
	return c
}

// checkExchange tries whether two names can be exchanged in one step.
func checkExchange(root string) Check {
	c := Check{Name: "filesystem", OK: true, Note: "names can be exchanged in one step"}
	r, err := os.OpenRoot(root)
	if err != nil {
		return Check{Name: c.Name, Note: err.Error()}
	}
	defer r.Close()
	dir, err := r.Open(".satchel")
	if err != nil {
		return Check{Name: c.Name, Note: err.Error()}
	}
	defer dir.Close()
	names := [2]string{".probe-a", ".probe-b"}
	for _, n := range names {
		if err := r.WriteFile(".satchel/"+n, nil, 0o600); err != nil {
			return Check{Name: c.Name, Note: err.Error()}
		}
		defer r.Remove(".satchel/" + n)
	}
	fd := int(dir.Fd())
	if err := exchangeNames(fd, names[0], names[1]); err != nil {
		c.Note = "names cannot be exchanged in one step (" + err.Error() + "); the slower way is used"
	}
	return c
}

// checkLocks tries whether a lock holds off another handle, as it must where
// two servers share this home.
func checkLocks(root string) Check {
	c := Check{Name: "locks", OK: true, Note: "locks hold"}
	name := root + "/.satchel/.probe-lock"
	first, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return Check{Name: c.Name, Note: err.Error(), Do: "see that this user can write " + root + "/.satchel"}
	}
	defer os.Remove(name)
	defer first.Close()
	second, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return Check{Name: c.Name, Note: err.Error(), Do: "see that this user can write " + root + "/.satchel"}
	}
	defer second.Close()
	const do = "mount the home with locks (NFS without nolock, Lustre with flock); until then run one server for each student at a time"
	if err := lock(first); err != nil {
		return Check{Name: c.Name, Note: "this filesystem gives no locks (" + err.Error() + ")", Do: do}
	}
	if err := lock(second); !errors.Is(err, unix.EWOULDBLOCK) {
		return Check{Name: c.Name, Note: "a lock holds nobody off here", Do: do}
	}
	return c
}

func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
