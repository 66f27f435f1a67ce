"""Reports: what an ablation or a workdir holds, as one page that needs nothing else."""
