package network

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// explain says what was tried and, where the cause is known, what to do.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: %w (networking needs CAP_NET_ADMIN and CAP_SYS_ADMIN: run as root)", what, err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s: %w (the kernel lacks it: load the modules nf_tables, nft_ct, nft_nat, nft_masq and veth)", what, err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%s: %w (raise the limit of open files)", what, err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%s: %w (raise user.max_net_namespaces)", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
