package bundle

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// PayloadType is the DSSE payload type of a Head.
const PayloadType = "application/vnd.satchel.head+json"

// ErrSignature means: not signed by any key that is trusted here.
var ErrSignature = errors.New("not signed by a key that is trusted here")

// Envelope is a DSSE envelope (github.com/secure-systems-lab/dsse) around one
// Head. Payload and signatures are base64 in JSON.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is one ed25519 signature; KeyID is a hint only.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// PublicKey is a key that may sign heads. Its text form is
// "ed25519:" and 44 characters of base64.
type PublicKey ed25519.PublicKey

const publicPrefix = "ed25519:"

func (k PublicKey) String() string {
	return publicPrefix + base64.StdEncoding.EncodeToString(k)
}

// ID is the first 16 hexadecimal digits of the key's SHA-256.
func (k PublicKey) ID() string { return Sum(k).String()[:16] }

// ParsePublicKeys reads keys separated by blanks, commas or newlines; lines
// that begin with # are comments.
func ParsePublicKeys(text string) ([]PublicKey, error) {
	var keys []PublicKey
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, w := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" ,\t\r\n", r) }) {
			raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(w, publicPrefix))
			if err != nil || len(raw) != ed25519.PublicKeySize || !strings.HasPrefix(w, publicPrefix) {
				return nil, fmt.Errorf("%.80q is no public key (ed25519: and 44 characters)", w)
			}
			keys = append(keys, PublicKey(raw))
		}
	}
	return keys, nil
}

// SigningKey is the private half. It prints as [hidden].
type SigningKey struct{ key ed25519.PrivateKey }

// NewSigningKey makes one.
func NewSigningKey() (SigningKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return SigningKey{key}, err
}

// ParseSigningKey reads a PKCS#8 PEM file.
func ParseSigningKey(data []byte) (SigningKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return SigningKey{}, errors.New("no PEM block \"PRIVATE KEY\"")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return SigningKey{}, err
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return SigningKey{}, errors.New("not an ed25519 key")
	}
	return SigningKey{key}, nil
}

// PEM is the form that ParseSigningKey reads.
func (k SigningKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Public is the public half.
func (k SigningKey) Public() PublicKey { return PublicKey(k.key.Public().(ed25519.PublicKey)) }

func (SigningKey) String() string   { return "[hidden]" }
func (SigningKey) GoString() string { return "[hidden]" }
func (SigningKey) MarshalText() ([]byte, error) {
	return nil, errors.New("a signing key is not written")
}

// pae is DSSE's pre-authentication encoding.
func pae(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(PayloadType), PayloadType, len(payload), payload)
}

// Sign puts h into an envelope, signed with each key.
func Sign(h *Head, keys ...SigningKey) (*Envelope, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(payload) > MaxHeadSize {
		return nil, fmt.Errorf("sign head: %d bytes; the limit is %d", len(payload), MaxHeadSize)
	}
	if len(keys) == 0 {
		return nil, errors.New("sign head: no signing key")
	}
	e := &Envelope{PayloadType: PayloadType, Payload: payload}
	for _, k := range keys {
		e.Signatures = append(e.Signatures, Signature{KeyID: k.Public().ID(), Sig: ed25519.Sign(k.key, pae(payload))})
	}
	return e, nil
}

// Open gives the head in e if one of the trusted keys signed it, else
// ErrSignature; then ErrFormat or ErrCorrupt as Head.Check.
func (e *Envelope) Open(trusted []PublicKey) (*Head, error) {
	if e.PayloadType != PayloadType || len(e.Payload) > MaxHeadSize || len(e.Signatures) > 16 {
		return nil, fmt.Errorf("%w: not an envelope of a head", ErrCorrupt)
	}
	if !e.signedBy(trusted) {
		return nil, ErrSignature
	}
	return e.Peek()
}

// Peek gives the head in e without looking at signatures: for the service's
// own record, never for the student's side.
func (e *Envelope) Peek() (*Head, error) {
	if FormatOf(e.Payload) > HeadFormat {
		return nil, fmt.Errorf("head: %w", ErrFormat)
	}
	h := &Head{}
	if err := DecodeLenient(e.Payload, MaxHeadSize, h); err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	return h, h.Check()
}

func (e *Envelope) signedBy(trusted []PublicKey) bool {
	msg := pae(e.Payload)
	for _, s := range e.Signatures {
		for _, k := range trusted {
			if len(k) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(k), msg, s.Sig) {
				return true
			}
		}
	}
	return false
}
