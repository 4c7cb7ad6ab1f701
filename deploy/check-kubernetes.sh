#!/bin/bash
# Checks kubernetes/*.yaml against the published schemas of Kubernetes: the Job as a whole, the MPIJob by its pod templates.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --loglevel=error kubernetes-models@5.1.0 yaml@2.9.1
cat > check.mjs <<'JS'
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Job } from 'kubernetes-models/batch/v1';
import { PodTemplate } from 'kubernetes-models/v1';
import { parse } from 'yaml';
const folder = process.argv[2];
for (const file of readdirSync(folder)) {
  const manifest = parse(readFileSync(join(folder, file), 'utf8'));
  if (manifest.kind === 'Job') new Job(manifest).validate();
  else
    for (const { template } of Object.values(manifest.spec.mpiReplicaSpecs))
      new PodTemplate({ metadata: { name: 'x' }, template }).validate();
  console.log(`${file}: ${manifest.kind} is valid`);
}
JS
node check.mjs "$here/kubernetes"
