package ec2

import "github.com/aws/aws-sdk-go-v2/service/ec2/types"

// The inputs and outputs of operations on security groups,
// named and typed as in the SDK, see wire's documentation.

type DescribeSecurityGroupsInput struct {
	DryRun     *bool
	Filters    []types.Filter
	GroupIds   []string
	GroupNames []string
	MaxResults *int32
	NextToken  *string
}

type DescribeSecurityGroupsOutput struct {
	NextToken      *string
	SecurityGroups []types.SecurityGroup
}

type DescribeSecurityGroupRulesInput struct {
	DryRun               *bool
	Filters              []types.Filter
	MaxResults           *int32
	NextToken            *string
	SecurityGroupRuleIds []string
}

type DescribeSecurityGroupRulesOutput struct {
	NextToken          *string
	SecurityGroupRules []types.SecurityGroupRule
}

type DescribeSecurityGroupReferencesInput struct {
	GroupId []string
	DryRun  *bool
}

type DescribeSecurityGroupReferencesOutput struct {
	SecurityGroupReferenceSet []types.SecurityGroupReference
}

type GetSecurityGroupsForVpcInput struct {
	VpcId      *string
	DryRun     *bool
	Filters    []types.Filter
	MaxResults *int32
	NextToken  *string
}

type GetSecurityGroupsForVpcOutput struct {
	NextToken            *string
	SecurityGroupForVpcs []types.SecurityGroupForVpc
}

type CreateSecurityGroupInput struct {
	Description       *string
	GroupName         *string
	DryRun            *bool
	TagSpecifications []types.TagSpecification
	VpcId             *string
}

type CreateSecurityGroupOutput struct {
	GroupId          *string
	SecurityGroupArn *string
	Tags             []types.Tag
}

type DeleteSecurityGroupInput struct {
	DryRun    *bool
	GroupId   *string
	GroupName *string
}

type DeleteSecurityGroupOutput struct {
	GroupId *string
	Return  *bool
}

type AuthorizeSecurityGroupIngressInput struct {
	CidrIp                     *string
	DryRun                     *bool
	FromPort                   *int32
	GroupId                    *string
	GroupName                  *string
	IpPermissions              []types.IpPermission
	IpProtocol                 *string
	SourceSecurityGroupName    *string
	SourceSecurityGroupOwnerId *string
	TagSpecifications          []types.TagSpecification
	ToPort                     *int32
}

type AuthorizeSecurityGroupIngressOutput struct {
	Return             *bool
	SecurityGroupRules []types.SecurityGroupRule
}

type AuthorizeSecurityGroupEgressInput struct {
	GroupId                    *string
	CidrIp                     *string
	DryRun                     *bool
	FromPort                   *int32
	IpPermissions              []types.IpPermission
	IpProtocol                 *string
	SourceSecurityGroupName    *string
	SourceSecurityGroupOwnerId *string
	TagSpecifications          []types.TagSpecification
	ToPort                     *int32
}

type AuthorizeSecurityGroupEgressOutput struct {
	Return             *bool
	SecurityGroupRules []types.SecurityGroupRule
}

type RevokeSecurityGroupIngressInput struct {
	CidrIp                     *string
	DryRun                     *bool
	FromPort                   *int32
	GroupId                    *string
	GroupName                  *string
	IpPermissions              []types.IpPermission
	IpProtocol                 *string
	SecurityGroupRuleIds       []string
	SourceSecurityGroupName    *string
	SourceSecurityGroupOwnerId *string
	ToPort                     *int32
}

type RevokeSecurityGroupIngressOutput struct {
	Return                    *bool
	RevokedSecurityGroupRules []types.RevokedSecurityGroupRule
	UnknownIpPermissions      []types.IpPermission
}

type RevokeSecurityGroupEgressInput struct {
	GroupId                    *string
	CidrIp                     *string
	DryRun                     *bool
	FromPort                   *int32
	IpPermissions              []types.IpPermission
	IpProtocol                 *string
	SecurityGroupRuleIds       []string
	SourceSecurityGroupName    *string
	SourceSecurityGroupOwnerId *string
	ToPort                     *int32
}

type RevokeSecurityGroupEgressOutput struct {
	Return                    *bool
	RevokedSecurityGroupRules []types.RevokedSecurityGroupRule
	UnknownIpPermissions      []types.IpPermission
}

type ModifySecurityGroupRulesInput struct {
	GroupId            *string
	SecurityGroupRules []types.SecurityGroupRuleUpdate
	DryRun             *bool
}

type ModifySecurityGroupRulesOutput struct {
	Return *bool
}

type UpdateSecurityGroupRuleDescriptionsIngressInput struct {
	DryRun                        *bool
	GroupId                       *string
	GroupName                     *string
	IpPermissions                 []types.IpPermission
	SecurityGroupRuleDescriptions []types.SecurityGroupRuleDescription
}

type UpdateSecurityGroupRuleDescriptionsIngressOutput struct {
	Return *bool
}

type UpdateSecurityGroupRuleDescriptionsEgressInput struct {
	DryRun                        *bool
	GroupId                       *string
	GroupName                     *string
	IpPermissions                 []types.IpPermission
	SecurityGroupRuleDescriptions []types.SecurityGroupRuleDescription
}

type UpdateSecurityGroupRuleDescriptionsEgressOutput struct {
	Return *bool
}
