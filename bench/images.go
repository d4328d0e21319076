package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// What is pulled: so many bytes of files when unpacked, half of which don't get
// smaller by compression, in layers of equal size.
const (
	imageSize   = 400 << 20
	imageLayers = 4
	fileSize    = 512 << 10
	pullRounds  = 3
)

// puller has an image pulled and unpacked, and forgets it again.
type puller struct {
	name   string
	pull   func(ref string) error
	remove func(ref string) error
}

// images: pull and unpack of an image that shares nothing with those before, from
// a registry in this process, beside the peers.
func (b *bench) images() error {
	if err := b.berth.prepare(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go server.Serve(listener)
	defer server.Close()

	others := pullers()
	took := make([]sample, len(others))
	var mine, unpack sample
	for round := range pullRounds {
		// All of a round pull the same image; the next round has another.
		ref := fmt.Sprintf("%s/weight:%d", listener.Addr(), round)
		size, err := b.publish(ref, uint64(round))
		if err != nil {
			return err
		}
		if round == 0 {
			fmt.Printf("image           %d MiB in %d layers, %d MiB as fetched\n", imageSize>>20, imageLayers, size>>20)
		}
		for i, p := range others {
			s, err := timed(1, func(int) error { return p.pull(ref) })
			if err != nil {
				return err
			}
			took[i] = append(took[i], s...)
			if err := p.remove(ref); err != nil {
				return err
			}
		}
		pull, rest, err := b.berth.pull(ref)
		if err != nil {
			return err
		}
		mine, unpack = append(mine, pull), append(unpack, rest)
		if err := command(b.berth.binary, "image", "rm", "--data-dir", b.berth.dir, ref); err != nil {
			return err
		}
	}
	fmt.Printf("Berth           %v, of it unpacked after the last byte %v\n", mine, unpack)
	for i, p := range others {
		ratio := func(q float64) float64 { return float64(mine.at(q)) / float64(took[i].at(q)) }
		fmt.Printf("%-16s%v; Berth takes %.2fx of the median, %.2fx of the p99\n", p.name, took[i], ratio(0.5), ratio(0.99))
	}
	return nil
}

// publish puts the probe and much else into an image, and returns its size as
// it is fetched.
func (b *bench) publish(ref string, seed uint64) (int64, error) {
	to, err := name.ParseReference(ref)
	if err != nil {
		return 0, err
	}
	img, err := tarball.ImageFromPath(b.berth.image, nil)
	if err != nil {
		return 0, err
	}
	for i := range uint64(imageLayers) {
		data, err := weight(seed<<8|i, imageSize/imageLayers)
		if err != nil {
			return 0, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err != nil {
			return 0, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return 0, err
		}
	}
	if err := remote.Write(to, img); err != nil {
		return 0, err
	}
	return fetched(img)
}

func fetched(img v1.Image) (int64, error) {
	m, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	sum := m.Config.Size
	for _, l := range m.Layers {
		sum += l.Size
	}
	return sum, nil
}

// weight is a gzipped archive of files, each half of which is noise.
func weight(seed uint64, size int) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	var key [32]byte
	for i := range key {
		key[i] = byte(seed >> (8 * (i % 8)))
	}
	noise := rand.NewChaCha8(key)
	data := bytes.Repeat([]byte("what compresses well, as programs and texts do\n"), fileSize/47+1)[:fileSize]
	for n := 0; n < size; n += fileSize {
		noise.Read(data[:fileSize/2])
		err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("weight/%d/%d", seed, n), Mode: 0o644, Size: fileSize, Typeflag: tar.TypeReg})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// pull runs a task of an image, and returns how long the image took and how much
// of that its unpacking did after the last byte had come.
func (b *berth) pull(ref string) (whole, unpack time.Duration, err error) {
	ctx := context.Background()
	family := "bench-pull"
	if _, err := b.ecs.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: &family, NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu: aws.String("256"), Memory: aws.String("512"),
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("main"), Image: &ref, Command: []string{"wait"}}},
	}); err != nil {
		return 0, 0, err
	}
	task, err := b.runTask(family)
	if err != nil {
		return 0, 0, err
	}
	if err := b.await(task, "RUNNING"); err != nil {
		return 0, 0, err
	}
	out, err := b.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Tasks: []string{task}})
	if err != nil {
		return 0, 0, err
	}
	t := out.Tasks[0]
	whole = t.PullStoppedAt.Sub(*t.PullStartedAt)
	for _, a := range t.Attributes {
		if strings.Contains(aws.ToString(a.Name), ".unpack") {
			var after, took int64 // in microseconds
			if _, err := fmt.Sscanf(aws.ToString(a.Value), "%d+%d", &after, &took); err != nil {
				return 0, 0, fmt.Errorf("attribute %s: %w", aws.ToString(a.Name), err)
			}
			unpack = time.Duration(took) * time.Microsecond
		}
	}
	return whole, unpack, b.stopAll([]string{task})
}

// pullers are the peers that answer.
func pullers() []puller {
	var all []puller
	const namespace = "berth-bench"
	if err := command("ctr", "-n", namespace, "version"); err == nil {
		all = append(all, puller{
			name:   "ctr image pull",
			pull:   func(ref string) error { return command("ctr", "-n", namespace, "image", "pull", "--plain-http", ref) },
			remove: func(ref string) error { return command("ctr", "-n", namespace, "image", "rm", "--sync", ref) },
		})
	}
	if err := command("docker", "info"); err == nil {
		all = append(all, puller{
			name:   "docker pull",
			pull:   func(ref string) error { return command("docker", "pull", "-q", ref) },
			remove: func(ref string) error { return command("docker", "rmi", ref) },
		})
	}
	if len(all) == 0 {
		fmt.Println("left out: ctr and docker: no daemon answers (CONTAINERD_ADDRESS, DOCKER_HOST)")
	}
	return all
}
