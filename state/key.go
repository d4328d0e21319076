package state

// Scope is the account and region that a record belongs to. Records of the
// installation itself, like nodes, have the zero Scope.
type Scope struct {
	Account string
	Region  string
}

// Key names one record of a kind. ID may have several segments divided by "/",
// most significant first ("default/0123…" for a task), so that a prefix of it
// names a set.
type Key struct {
	Scope
	ID string
}

// String returns the key's part of the store's path: account/region/id, with
// "-" for an empty account or region.
func (k Key) String() string {
	part := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	return part(k.Account) + "/" + part(k.Region) + "/" + k.ID
}

// Key makes the key of id in the scope.
func (s Scope) Key(id string) Key { return Key{Scope: s, ID: id} }
