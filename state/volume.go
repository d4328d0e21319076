package state

import "github.com/aws/aws-sdk-go-v2/service/ecs/types"

// Volume is an EBS volume of a task, as it was configured when the task was
// started.
type Volume struct {
	// Name is that of the definition's volume.
	Name string
	ID   string // vol-…
	// AttachmentID is the UUID of the volume's attachment to the task.
	AttachmentID string
	SizeGiB      int32
	// FileSystem is empty where the user leaves it to the node.
	FileSystem types.TaskFilesystemType `json:",omitempty"`
	RoleARN    string
	// DeleteOnTermination: it goes with the task.
	DeleteOnTermination bool
}

// VolumeStatus is the status of the attachment of a volume, of which ECS has
// CREATED, ATTACHING, ATTACHED, DETACHING, DETACHED and DELETED (SDK,
// types.Attachment): a volume is attached before a container of its task is
// made, and detached after the last has ended.
func (t *Task) VolumeStatus(v *Volume) string {
	switch {
	case t.Last == Stopped && v.DeleteOnTermination:
		return "DELETED"
	case t.Last == Stopped:
		return "DETACHED"
	case t.Last >= Deprovisioning:
		return "DETACHING"
	case t.Last >= Activating:
		return "ATTACHED"
	case t.Last == Pending:
		return "ATTACHING"
	}
	return "CREATED"
}
