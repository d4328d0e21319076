package logs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/berth/berth/internal/id"
)

// queryDefinitions is the kind of records that saved queries are kept as.
const queryDefinitions = "querydefinition"

// maxDefinitions is how many an account may have in a region (CloudWatch Logs quotas).
const maxDefinitions = 1000

// definition is a saved query as it is kept.
type definition struct {
	types.QueryDefinition
	Token string // clientToken of the request that made it
}

// PutQueryDefinition saves a query, or changes a saved one as a whole.
func (s *Service) PutQueryDefinition(ctx context.Context, in *cwl.PutQueryDefinitionInput) (*cwl.PutQueryDefinitionOutput, error) {
	if err := onlyCWLI(in.QueryLanguage); err != nil {
		return nil, err
	}
	d := definition{types.QueryDefinition{
		QueryDefinitionId: in.QueryDefinitionId, Name: in.Name, QueryString: in.QueryString, LogGroupNames: in.LogGroupNames,
		Parameters: in.Parameters, QueryLanguage: types.QueryLanguageCwli, LastModified: aws.Int64(s.now().UnixMilli()),
	}, aws.ToString(in.ClientToken)}
	if n := len(aws.ToString(in.Name)); n < 1 || n > 255 {
		return nil, invalid("1 validation error detected: Value at 'name' failed to satisfy constraint: Member must have length between 1 and 255")
	}
	if n := len(aws.ToString(in.QueryString)); n < 1 || n > 10_000 {
		return nil, invalid("1 validation error detected: Value at 'queryString' failed to satisfy constraint: Member must have length between 1 and 10000")
	}
	err := s.store.UpdateDocs(scopeOf(ctx), "", queryDefinitions, func(docs map[string][]byte) error {
		if in.QueryDefinitionId != nil {
			if docs[*in.QueryDefinitionId] == nil {
				return &types.ResourceNotFoundException{Message: aws.String("The specified query definition does not exist.")}
			}
		} else {
			if made, err := madeBy(docs, d.Token); err != nil || made != "" {
				d.QueryDefinitionId = &made
				return err
			}
			if len(docs) >= maxDefinitions {
				return &types.LimitExceededException{Message: aws.String("Resource limit exceeded.")}
			}
			d.QueryDefinitionId = aws.String(id.UUID())
		}
		doc, err := json.Marshal(d)
		docs[*d.QueryDefinitionId] = doc
		return err
	})
	if err != nil {
		return nil, err
	}
	return &cwl.PutQueryDefinitionOutput{QueryDefinitionId: d.QueryDefinitionId}, nil
}

// madeBy is the ID of the definition that a request with the token made, if any.
func madeBy(docs map[string][]byte, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	for name, doc := range docs {
		var d definition
		if err := json.Unmarshal(doc, &d); err != nil {
			return "", fmt.Errorf("read query definition %s: %w", name, err)
		}
		if d.Token == token {
			return name, nil
		}
	}
	return "", nil
}

// DescribeQueryDefinitions lists saved queries by name.
func (s *Service) DescribeQueryDefinitions(ctx context.Context, in *cwl.DescribeQueryDefinitionsInput) (*cwl.DescribeQueryDefinitionsOutput, error) {
	docs, err := s.store.Docs(scopeOf(ctx), "", queryDefinitions)
	if err != nil {
		return nil, err
	}
	if n := aws.ToInt32(in.MaxResults); in.MaxResults != nil && (n < 1 || n > 1000) {
		return nil, invalid("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and 1000", n)
	}
	var all []types.QueryDefinition
	for name, doc := range docs {
		var d definition
		if err := json.Unmarshal(doc, &d); err != nil {
			return nil, fmt.Errorf("read query definition %s: %w", name, err)
		}
		if strings.HasPrefix(*d.Name, aws.ToString(in.QueryDefinitionNamePrefix)) && (in.QueryLanguage == "" || in.QueryLanguage == d.QueryLanguage) {
			all = append(all, d.QueryDefinition)
		}
	}
	key := func(d types.QueryDefinition) string { return *d.Name + "\x00" + *d.QueryDefinitionId }
	slices.SortFunc(all, func(a, b types.QueryDefinition) int { return strings.Compare(key(a), key(b)) })
	list := fmt.Sprintf("DescribeQueryDefinitions/%s/%s", aws.ToString(in.QueryDefinitionNamePrefix), in.QueryLanguage)
	all, next, err := cut(all, key, list, in.NextToken, limitOf(in.MaxResults, 1000))
	if err != nil {
		return nil, err
	}
	return &cwl.DescribeQueryDefinitionsOutput{QueryDefinitions: append([]types.QueryDefinition{}, all...), NextToken: next}, nil
}

// DeleteQueryDefinition deletes a saved query.
func (s *Service) DeleteQueryDefinition(ctx context.Context, in *cwl.DeleteQueryDefinitionInput) (*cwl.DeleteQueryDefinitionOutput, error) {
	name := aws.ToString(in.QueryDefinitionId)
	err := s.store.UpdateDocs(scopeOf(ctx), "", queryDefinitions, func(docs map[string][]byte) error {
		if docs[name] == nil {
			return &types.ResourceNotFoundException{Message: aws.String("The specified query definition does not exist.")}
		}
		delete(docs, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &cwl.DeleteQueryDefinitionOutput{Success: true}, nil
}
