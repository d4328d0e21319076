package ecs

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/berth/berth/internal/page"
	"github.com/berth/berth/place"
	"github.com/berth/berth/state"
	"github.com/berth/berth/store"
	"github.com/berth/berth/wire"
)

// The two states of a cluster that Berth has. AWS's others belong to capacity
// that is made with the cluster.
const (
	clusterActive   = "ACTIVE"
	clusterInactive = "INACTIVE"
)

// nameRule is the rule of clusters', families', containers' and volumes' names:
// up to 255 letters, digits, underscores and hyphens (SDK, e.g. CreateClusterInput.ClusterName).
var nameRule = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,255}$`)

// activeCluster is cluster, for operations that need one that is not deleted.
func (s *Service) activeCluster(v store.View, c wire.Caller, ref *string) (*state.Cluster, error) {
	cluster, err := s.cluster(v, c, ref)
	if err != nil {
		return nil, err
	}
	if cluster.Status != clusterActive {
		return nil, &types.ClusterNotFoundException{Message: aws.String("The referenced cluster was inactive.")}
	}
	return cluster, nil
}

// CreateCluster makes a cluster, "default" where none is named. The name of a
// cluster that is ACTIVE gives that cluster back, unless the request asks for
// something that it is not; the name of an INACTIVE one makes a new cluster.
func (s *Service) CreateCluster(ctx context.Context, in *ecs.CreateClusterInput) (*ecs.CreateClusterOutput, error) {
	caller := wire.CallerFrom(ctx)
	wanted := &state.Cluster{Scope: scopeOf(caller), Name: "default", Status: clusterActive, CreatedAt: s.now()}
	if name := aws.ToString(in.ClusterName); name != "" {
		wanted.Name = name
	}
	if !nameRule.MatchString(wanted.Name) {
		return nil, invalid("Invalid cluster name: clusterName must be 1 to 255 letters, numbers, hyphens and underscores.")
	}
	insights := effective(s.store.View(), wanted.Scope, insightsSetting, caller.ARN)
	settings, err := clusterSettings(in.Settings, insights)
	if err != nil {
		return nil, err
	}
	if err := checkClusterConfiguration(in.Configuration); err != nil {
		return nil, err
	}
	if wanted.Tags, err = tagsFrom(in.Tags); err != nil {
		return nil, err
	}
	wanted.Spec.V = types.Cluster{
		ClusterName:                     &wanted.Name,
		Settings:                        settings,
		Configuration:                   in.Configuration,
		CapacityProviders:               in.CapacityProviders,
		DefaultCapacityProviderStrategy: in.DefaultCapacityProviderStrategy,
	}
	var out types.Cluster
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := checkProviders(tx, wanted.Scope, in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
			return err
		}
		made := wanted
		if old, ok := store.Clusters.Get(tx, wanted.Key()); ok && old.Status == clusterActive {
			if !sameCluster(old, wanted, in) {
				return invalid("Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
			}
			made = old
		} else {
			store.Clusters.Put(tx, wanted)
		}
		out = renderCluster(tx, made, types.ClusterFieldSettings, types.ClusterFieldConfigurations, types.ClusterFieldTags)
		return nil
	})
	return &ecs.CreateClusterOutput{Cluster: &out}, err
}

// sameCluster says whether the cluster that is there is what the request asks
// for. What a request leaves out it does not ask for.
func sameCluster(old, wanted *state.Cluster, in *ecs.CreateClusterInput) bool {
	a, b := &old.Spec.V, &wanted.Spec.V
	return (len(in.Settings) == 0 || sameJSON(types.Cluster{Settings: a.Settings}, types.Cluster{Settings: b.Settings})) &&
		(in.Configuration == nil || sameJSON(types.Cluster{Configuration: a.Configuration}, types.Cluster{Configuration: b.Configuration})) &&
		(len(in.CapacityProviders) == 0 || slices.Equal(a.CapacityProviders, b.CapacityProviders)) &&
		(len(in.DefaultCapacityProviderStrategy) == 0 ||
			sameJSON(types.Cluster{DefaultCapacityProviderStrategy: a.DefaultCapacityProviderStrategy},
				types.Cluster{DefaultCapacityProviderStrategy: b.DefaultCapacityProviderStrategy})) &&
		(len(in.Tags) == 0 || slices.Equal(old.Tags, wanted.Tags))
}

// sameJSON compares what would be kept of two specs.
func sameJSON(a, b types.Cluster) bool {
	x, errX := state.Spec[types.Cluster, *types.Cluster]{V: a}.MarshalJSON()
	y, errY := state.Spec[types.Cluster, *types.Cluster]{V: b}.MarshalJSON()
	return errX == nil && errY == nil && string(x) == string(y)
}

// DeleteCluster makes a cluster INACTIVE. It is refused while tasks are left.
func (s *Service) DeleteCluster(ctx context.Context, in *ecs.DeleteClusterInput) (*ecs.DeleteClusterOutput, error) {
	if aws.ToString(in.Cluster) == "" {
		return nil, invalid("Cluster can not be blank.")
	}
	out, err := s.changeCluster(ctx, in.Cluster, func(tx *store.Tx, c *state.Cluster) error {
		for svc := range store.Services.List(tx, c.Scope, c.Name+"/") {
			if svc.Status != serviceInactive {
				return &types.ClusterContainsServicesException{Message: aws.String("The Cluster cannot be deleted while Services are active.")}
			}
		}
		for t := range store.Tasks.List(tx, c.Scope, c.Name+"/") {
			if t.Last != state.Stopped {
				return &types.ClusterContainsTasksException{Message: aws.String("The Cluster cannot be deleted while Tasks are active.")}
			}
		}
		for range store.Instances.List(tx, c.Scope, c.Name+"/") {
			return &types.ClusterContainsContainerInstancesException{Message: aws.String("The Cluster cannot be deleted while Container Instances are active or draining.")}
		}
		c.Status, c.DeletedAt = clusterInactive, s.now()
		return nil
	})
	return &ecs.DeleteClusterOutput{Cluster: out}, err
}

// UpdateCluster replaces what the request names of a cluster's settings and
// configuration.
func (s *Service) UpdateCluster(ctx context.Context, in *ecs.UpdateClusterInput) (*ecs.UpdateClusterOutput, error) {
	if aws.ToString(in.Cluster) == "" {
		return nil, invalid("Cluster can not be blank.")
	}
	if err := checkClusterConfiguration(in.Configuration); err != nil {
		return nil, err
	}
	out, err := s.changeCluster(ctx, in.Cluster, func(_ *store.Tx, c *state.Cluster) error {
		if in.Configuration != nil {
			c.Spec.V.Configuration = in.Configuration
		}
		return setSettings(c, in.Settings)
	})
	return &ecs.UpdateClusterOutput{Cluster: out}, err
}

// UpdateClusterSettings replaces a cluster's settings.
func (s *Service) UpdateClusterSettings(ctx context.Context, in *ecs.UpdateClusterSettingsInput) (*ecs.UpdateClusterSettingsOutput, error) {
	if aws.ToString(in.Cluster) == "" {
		return nil, invalid("Cluster can not be blank.")
	}
	if len(in.Settings) == 0 {
		return nil, invalid("Settings can not be empty.")
	}
	out, err := s.changeCluster(ctx, in.Cluster, func(_ *store.Tx, c *state.Cluster) error {
		return setSettings(c, in.Settings)
	})
	return &ecs.UpdateClusterSettingsOutput{Cluster: out}, err
}

// changeCluster writes what change makes of a copy of an ACTIVE cluster, and
// returns it as ECS shows a changed cluster, with all that was set.
func (s *Service) changeCluster(ctx context.Context, ref *string, change func(*store.Tx, *state.Cluster) error) (*types.Cluster, error) {
	caller := wire.CallerFrom(ctx)
	var out types.Cluster
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		old, err := s.activeCluster(tx, caller, ref)
		if err != nil {
			return err
		}
		c := *old
		if err := change(tx, &c); err != nil {
			return err
		}
		store.Clusters.Put(tx, &c)
		out = renderCluster(tx, &c, types.ClusterFieldAttachments, types.ClusterFieldSettings, types.ClusterFieldConfigurations, types.ClusterFieldTags)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// clusterSettings checks settings and adds the one there is, if it isn't said.
func clusterSettings(in []types.ClusterSetting, value string) ([]types.ClusterSetting, error) {
	for i, set := range in {
		if set.Name != types.ClusterSettingNameContainerInsights {
			return nil, invalid("Invalid cluster setting name '%s': settings[%d].name must be containerInsights.", set.Name, i)
		}
		value = aws.ToString(set.Value)
		if !slices.Contains([]string{"enabled", "disabled", "enhanced"}, value) {
			return nil, invalid("Invalid cluster setting value '%s': settings[%d].value must be one of enhanced, enabled, disabled.", value, i)
		}
	}
	return []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: &value}}, nil
}

func setSettings(c *state.Cluster, in []types.ClusterSetting) error {
	if len(in) == 0 {
		return nil
	}
	settings, err := clusterSettings(in, "")
	c.Spec.V.Settings = settings
	return err
}

// checkClusterConfiguration keeps the rules of ECS Exec's logging.
func checkClusterConfiguration(in *types.ClusterConfiguration) error {
	if in == nil || in.ExecuteCommandConfiguration == nil {
		return nil
	}
	e := in.ExecuteCommandConfiguration
	override := e.Logging == types.ExecuteCommandLoggingOverride
	switch {
	case e.Logging != "" && !slices.Contains(e.Logging.Values(), e.Logging):
		return invalid("Invalid logging '%s': executeCommandConfiguration.logging must be one of NONE, DEFAULT, OVERRIDE.", e.Logging)
	case e.LogConfiguration != nil && !override:
		return invalid("You must set logging to 'OVERRIDE' when you supply a log configuration.")
	case override && (e.LogConfiguration == nil ||
		aws.ToString(e.LogConfiguration.CloudWatchLogGroupName) == "" && aws.ToString(e.LogConfiguration.S3BucketName) == ""):
		return invalid("A CloudWatch log group name or S3 bucket name must be specified when overriding the default log configuration.")
	case override && aws.ToString(e.LogConfiguration.S3KeyPrefix) != "" && aws.ToString(e.LogConfiguration.S3BucketName) == "":
		return invalid("An S3 bucket name must be specified when an S3 key prefix is.")
	}
	return nil
}

// DescribeClusters returns up to 100 clusters, "default" where none is named.
// Those that are not there are failures with reason MISSING.
func (s *Service) DescribeClusters(ctx context.Context, in *ecs.DescribeClustersInput) (*ecs.DescribeClustersOutput, error) {
	caller := wire.CallerFrom(ctx)
	for _, f := range in.Include {
		if !slices.Contains(f.Values(), f) {
			return nil, invalid("Invalid include value: %s. Accepted values: [ATTACHMENTS, CONFIGURATIONS, SETTINGS, STATISTICS, TAGS]", f)
		}
	}
	refs := in.Clusters
	if len(refs) == 0 {
		refs = []string{"default"}
	}
	if len(refs) > 100 {
		return nil, invalid("Clusters cannot have more than 100 elements.")
	}
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{}, Failures: []types.Failure{}}
	view := s.store.View()
	seen := map[string]bool{}
	for _, ref := range refs {
		name, err := clusterName(caller, ref)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		key := scopeOf(caller).Key(name)
		c, ok := store.Clusters.Get(view, key)
		if !ok {
			missing := state.Cluster{Scope: key.Scope, Name: name}
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(missing.ARN()), Reason: aws.String("MISSING")})
			continue
		}
		out.Clusters = append(out.Clusters, renderCluster(view, c, in.Include...))
	}
	return out, nil
}

// ListClusters returns the ARNs of the ACTIVE clusters, by name.
func (s *Service) ListClusters(ctx context.Context, in *ecs.ListClustersInput) (*ecs.ListClustersOutput, error) {
	limit, err := pageSize(in.MaxResults, 100)
	if err != nil {
		return nil, err
	}
	arns := []string{}
	for c := range store.Clusters.List(s.store.View(), scopeOf(wire.CallerFrom(ctx)), "") {
		if c.Status == clusterActive {
			arns = append(arns, c.ARN())
		}
	}
	out := &ecs.ListClustersOutput{}
	out.ClusterArns, out.NextToken, err = cut(arns, "ecs/ListClusters", in.NextToken, limit)
	return out, err
}

// pageSize is how many items a page has: what is asked, of 1 to most, or most.
func pageSize(asked *int32, most int) (int, error) {
	if asked == nil {
		return most, nil
	}
	if *asked < 1 || int(*asked) > most {
		return 0, invalid("maxResults must be between 1 and %d.", most)
	}
	return int(*asked), nil
}

// cut returns one page of items, which are sorted and their own keys, and the
// next one's token.
func cut(items []string, list string, token *string, limit int) ([]string, *string, error) {
	return cutBy(items, func(s string) string { return s }, list, token, limit)
}

// cutBy is cut for items whose keys are not themselves.
func cutBy[T any](items []T, key func(T) string, list string, token *string, limit int) ([]T, *string, error) {
	items, next, err := page.Cut(items, key, list, aws.ToString(token), limit)
	if err != nil {
		return nil, nil, invalid("Invalid token: the nextToken is not one that this call returned.")
	}
	return items, text(next), nil
}

// renderCluster shows a cluster as ECS does; what is not included is empty.
func renderCluster(v store.View, c *state.Cluster, include ...types.ClusterField) types.Cluster {
	spec := &c.Spec.V
	out := types.Cluster{
		ClusterArn:                      aws.String(c.ARN()),
		ClusterName:                     &c.Name,
		Status:                          &c.Status,
		CapacityProviders:               append([]string{}, spec.CapacityProviders...),
		DefaultCapacityProviderStrategy: append([]types.CapacityProviderStrategyItem{}, spec.DefaultCapacityProviderStrategy...),
		Settings:                        []types.ClusterSetting{},
		Statistics:                      []types.KeyValuePair{},
		Tags:                            []types.Tag{},
	}
	places := store.Places(v)
	counts := places.Counts(c.Key())
	for _, n := range counts.Running {
		out.RunningTasksCount += int32(n)
	}
	for _, n := range counts.Pending {
		out.PendingTasksCount += int32(n)
	}
	out.RegisteredContainerInstancesCount = int32(places.Instances(c.Key()))
	services := map[string]int32{} // by "active" or "draining" and launch type
	for s := range store.Services.List(v, c.Scope, c.Name+"/") {
		switch s.Status {
		case "ACTIVE":
			out.ActiveServicesCount++
			services["active"+string(serviceLaunch(s))]++
		case "DRAINING":
			services["draining"+string(serviceLaunch(s))]++
		}
	}
	for _, f := range include {
		switch f {
		case types.ClusterFieldSettings:
			out.Settings = append(out.Settings, spec.Settings...)
		case types.ClusterFieldConfigurations:
			out.Configuration = spec.Configuration
		case types.ClusterFieldTags:
			out.Tags = tagsOf(c.Tags)
		case types.ClusterFieldStatistics:
			out.Statistics = clusterStatistics(counts, services)
		case types.ClusterFieldAttachments:
			out.Attachments = []types.Attachment{}
			if len(out.CapacityProviders) > 0 {
				out.AttachmentsStatus = aws.String("UPDATE_COMPLETE")
			}
		}
	}
	return out
}

// serviceLaunch is the launch type of a service's tasks: with a capacity provider
// strategy that of its providers.
func serviceLaunch(s *state.Service) types.LaunchType {
	spec := &s.Spec.V
	if len(spec.CapacityProviderStrategy) == 0 {
		return cmp.Or(spec.LaunchType, types.LaunchTypeEc2)
	}
	if onFargate(aws.ToString(spec.CapacityProviderStrategy[0].CapacityProvider)) {
		return types.LaunchTypeFargate
	}
	return types.LaunchTypeEc2
}

// clusterStatistics are the counts by launch type (SDK, types.Cluster.Statistics).
func clusterStatistics(tasks place.Counts, services map[string]int32) []types.KeyValuePair {
	var out []types.KeyValuePair
	for _, kind := range []string{"EC2", "Fargate", "External"} {
		launch := types.LaunchType(strings.ToUpper(kind))
		out = append(out, statistic("running"+kind+"TasksCount", int32(tasks.Running[launch])), statistic("pending"+kind+"TasksCount", int32(tasks.Pending[launch])))
		for _, status := range []string{"active", "draining"} {
			out = append(out, statistic(status+kind+"ServiceCount", services[status+string(launch)]))
		}
	}
	slices.SortFunc(out, func(a, b types.KeyValuePair) int { return strings.Compare(*a.Name, *b.Name) })
	return out
}
