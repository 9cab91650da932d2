// Package sample holds the sample course of "satchel try": real notebooks
// with the outputs that their kernels gave, a data file, a draft, a solution,
// and a folder that stays private.
package sample

import (
	"embed"
	"io/fs"
)

//go:embed all:scala101
var files embed.FS

// Course is the sample course's repository.
func Course() fs.FS {
	sub, err := fs.Sub(files, "scala101")
	if err != nil {
		panic(err) // only if the directive above is wrong
	}
	return sub
}

// Folder is the one folder of it that is delivered.
const Folder = "notebooks"

// Withheld are paths below Folder that no student may get.
var Withheld = []string{"drafts/exam-ideas.md", "lab1/solution.md", ".satchel.yaml"}
