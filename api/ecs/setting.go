package ecs

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/arn"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// setting is what an account setting may be, and what it is unless somebody says
// otherwise (Amazon ECS Developer Guide, "Access Amazon ECS features with account
// settings").
type setting struct {
	name   string
	def    string
	values []string
	// managed is one that AWS sets: read-only.
	managed bool
}

var onOff, enabledDisabled = []string{"on", "off"}, []string{"enabled", "disabled"}

// settings are all, by name.
var settings = []setting{
	{name: "awsvpcTrunking", def: "disabled", values: enabledDisabled},
	{name: "containerInsights", def: "disabled", values: []string{"enabled", "disabled", "enhanced"}},
	{name: "containerInstanceLongArnFormat", def: "enabled", values: enabledDisabled},
	{name: "defaultLogDriverMode", def: "non-blocking", values: []string{"blocking", "non-blocking"}},
	{name: "dualStackIPv6", def: "enabled", values: enabledDisabled},
	{name: "fargateEventWindows", def: "disabled", values: enabledDisabled},
	{name: "fargateFIPSMode", def: "disabled", values: enabledDisabled},
	{name: "fargateTaskRetirementWaitPeriod", def: "7", values: []string{"0", "7", "14"}},
	{name: "guardDutyActivate", def: "off", values: onOff, managed: true},
	{name: "serviceLongArnFormat", def: "enabled", values: enabledDisabled},
	{name: "tagResourceAuthorization", def: "on", values: onOff},
	{name: "taskLongArnFormat", def: "enabled", values: enabledDisabled},
}

// insightsSetting is what new clusters have.
var insightsSetting = settings[1]

func findSetting(name types.SettingName) (setting, error) {
	var all []string
	for _, s := range settings {
		if s.name == string(name) {
			return s, nil
		}
		all = append(all, s.name)
	}
	return setting{}, invalid("%s should be one of [%s]", name, strings.Join(all, ","))
}

// rootARN is the ARN of an account's root user.
func rootARN(c wire.Caller) string { return "arn:" + c.Partition() + ":iam::" + c.Account + ":root" }

// principal is whose settings a call is about: empty for the root user's, which
// are all principals' defaults, and what to show for it.
func principal(c wire.Caller, ref *string) (key, shown string, err error) {
	shown = aws.ToString(ref)
	if shown == "" {
		shown = c.ARN
	}
	a, err := arn.Parse(shown)
	switch {
	case err != nil || a.Service != "iam" && a.Service != "sts" || a.Account != c.Account:
		return "", "", invalid("Invalid principalArn: %s is not a user, a role or the root user of the account %s.", shown, c.Account)
	case shown != c.ARN && c.ARN != rootARN(c):
		return "", "", &types.AccessDeniedException{Message: aws.String("Only the root user, or the principal itself, may use principalArn.")}
	case shown == rootARN(c):
		return "", shown, nil
	}
	return shown, shown, nil
}

// effective is the value of a setting for a principal.
func effective(v store.View, scope state.Scope, s setting, who string) string {
	for _, p := range []string{who, ""} {
		if set, ok := store.AccountSettings.Get(v, (&state.AccountSetting{Scope: scope, Name: s.name, Principal: p}).Key()); ok {
			return set.Value
		}
	}
	return s.def
}

// shownSetting is a setting as ECS shows it.
func shownSetting(s setting, value, who string) types.Setting {
	kind := types.SettingTypeUser
	if s.managed {
		kind = types.SettingTypeAwsManaged
	}
	return types.Setting{Name: types.SettingName(s.name), Value: &value, PrincipalArn: &who, Type: kind}
}

// PutAccountSetting sets a setting for a principal, the caller if none is named.
func (s *Service) PutAccountSetting(ctx context.Context, in *ecs.PutAccountSettingInput) (*ecs.PutAccountSettingOutput, error) {
	out, err := s.putSetting(ctx, in.Name, in.Value, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	return &ecs.PutAccountSettingOutput{Setting: out}, nil
}

// PutAccountSettingDefault sets a setting for all principals that have none of
// their own.
func (s *Service) PutAccountSettingDefault(ctx context.Context, in *ecs.PutAccountSettingDefaultInput) (*ecs.PutAccountSettingDefaultOutput, error) {
	caller := wire.CallerFrom(ctx)
	root := rootARN(caller)
	caller.ARN = root
	out, err := s.putSetting(wire.WithCaller(ctx, caller), in.Name, in.Value, &root)
	if err != nil {
		return nil, err
	}
	return &ecs.PutAccountSettingDefaultOutput{Setting: out}, nil
}

func (s *Service) putSetting(ctx context.Context, name types.SettingName, value, ref *string) (*types.Setting, error) {
	caller := wire.CallerFrom(ctx)
	found, err := findSetting(name)
	if err != nil {
		return nil, err
	}
	who, shown, err := principal(caller, ref)
	switch {
	case err != nil:
		return nil, err
	case found.managed:
		return nil, invalid("The account setting %s is managed by AWS and can't be changed.", name)
	case !slices.Contains(found.values, aws.ToString(value)):
		return nil, invalid("Invalid value '%s' of the account setting %s: it should be one of [%s]", aws.ToString(value), name, strings.Join(found.values, ","))
	case found.name == "fargateTaskRetirementWaitPeriod" && who != "":
		return nil, invalid("The account setting %s can only be set for the root user.", name)
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		store.AccountSettings.Put(tx, &state.AccountSetting{Scope: scopeOf(caller), Name: found.name, Principal: who, Value: *value})
		return nil
	})
	out := shownSetting(found, *value, shown)
	return &out, err
}

// DeleteAccountSetting takes a principal's own setting back, and shows what holds
// for it then.
func (s *Service) DeleteAccountSetting(ctx context.Context, in *ecs.DeleteAccountSettingInput) (*ecs.DeleteAccountSettingOutput, error) {
	caller := wire.CallerFrom(ctx)
	found, err := findSetting(in.Name)
	if err != nil {
		return nil, err
	}
	who, shown, err := principal(caller, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	var out types.Setting
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		store.AccountSettings.Delete(tx, (&state.AccountSetting{Scope: scopeOf(caller), Name: found.name, Principal: who}).Key())
		out = shownSetting(found, effective(tx, scopeOf(caller), found, who), shown)
		return nil
	})
	return &ecs.DeleteAccountSettingOutput{Setting: &out}, err
}

// ListAccountSettings lists what a principal has set, or with effectiveSettings
// what holds for it.
func (s *Service) ListAccountSettings(ctx context.Context, in *ecs.ListAccountSettingsInput) (*ecs.ListAccountSettingsOutput, error) {
	caller, v := wire.CallerFrom(ctx), s.store.View()
	if in.Name != "" {
		if _, err := findSetting(in.Name); err != nil {
			return nil, err
		}
	} else if in.Value != nil {
		return nil, invalid("A name must be specified with value.")
	}
	who, shown, err := principal(caller, in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	limit := 10
	if in.MaxResults != 0 {
		if limit, err = pageSize(&in.MaxResults, 10); err != nil {
			return nil, err
		}
	}
	all := []types.Setting{}
	for _, one := range settings {
		set, ok := store.AccountSettings.Get(v, (&state.AccountSetting{Scope: scopeOf(caller), Name: one.name, Principal: who}).Key())
		value := ""
		switch {
		case in.EffectiveSettings:
			value = effective(v, scopeOf(caller), one, who)
		case ok:
			value = set.Value
		default:
			continue
		}
		if (in.Name == "" || string(in.Name) == one.name) && (in.Value == nil || *in.Value == value) {
			all = append(all, shownSetting(one, value, shown))
		}
	}
	out := &ecs.ListAccountSettingsOutput{}
	out.Settings, out.NextToken, err = cutBy(all, func(s types.Setting) string { return string(s.Name) }, "ecs/ListAccountSettings", in.NextToken, limit)
	return out, err
}
