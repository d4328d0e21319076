package state

// AccountSetting is a setting of ECS that somebody has set.
type AccountSetting struct {
	Scope
	Name string
	// Principal is the ARN of the user or role that it is for; empty for the root
	// user's, which is the default of all.
	Principal string `json:",omitempty"`
	Value     string
}

// Key is "name/principal".
func (s *AccountSetting) Key() Key { return s.Scope.Key(s.Name + "/" + s.Principal) }
