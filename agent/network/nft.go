package network

import (
	"errors"

	"github.com/google/nftables"
	mnl "github.com/mdlayher/netlink"
)

// nft is a connection to a namespace's nftables.
type nft struct {
	ns   *namespace
	conn *nftables.Conn
}

func openNFT(ns *namespace) (*nft, error) {
	f := &nft{ns: ns}
	return f, f.dial()
}

func (f *nft) dial() (err error) {
	f.conn, err = nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(f.ns.fd()), nftables.WithSockOptions(bigBuffers))
	return explain("open nftables in network namespace "+f.ns.name, err)
}

// bigBuffers makes room for a whole transaction and its answers.
func bigBuffers(c *mnl.Conn) error {
	const size = 64 << 20
	return errors.Join(c.SetWriteBuffer(size), c.SetReadBuffer(size))
}

func (f *nft) close() { f.conn.CloseLasting() }

// transact applies what collect asks of f.conn: all of it, or nothing when it
// returns an error.
func (f *nft) transact(collect func() error) error {
	err := collect()
	if err == nil {
		err = f.conn.Flush()
	}
	if err == nil {
		return nil
	}
	// Requests not sent, or answers not read, are no part of the next one.
	f.close()
	return errors.Join(explain("change nftables in network namespace "+f.ns.name, err), f.dial())
}
