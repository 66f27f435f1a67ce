"""Parameters of other projects and of ours, in files: read into a workdir, or written from one."""
