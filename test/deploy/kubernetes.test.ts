// Owns the tests of deploy/kubernetes: manifests against Kubernetes' own types, and that they agree with each other and our command line.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Deployment, StatefulSet } from 'kubernetes-types/apps/v1.js'
import type { Container, PodSpec, Service } from 'kubernetes-types/core/v1.js'
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js'
import ts from 'typescript'
import { parseAllDocuments } from 'yaml'
import { documentedPorts, nodeOf, root, secretFiles, settingsFor, textOf, yamlDocuments } from './files.ts'

const folder = 'deploy/kubernetes'

interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; labels?: Record<string, string> }
}

interface Kustomization {
  apiVersion: string
  kind: string
  namespace: string
  labels: { pairs: Record<string, string> }[]
  images: { name: string; newName: string; newTag: string }[]
  configMapGenerator: { name: string; files: string[] }[]
  resources: string[]
}

const kustomization = yamlDocuments(`${folder}/kustomization.yaml`)[0] as Kustomization
const manifests = kustomization.resources.flatMap(name => yamlDocuments(`${folder}/${name}`)) as Manifest[]

function only<T>(kind: string, name?: string): T {
  const found = manifests.filter(one => one.kind === kind && (name === undefined || one.metadata.name === name))
  assert.equal(found.length, 1, `${kind} ${name ?? ''}`)
  // Its kind says what it is, and the type check below that it is that.
  return found[0] as unknown as T
}

/** What Kubernetes' types say against these manifests: unknown keys, missing ones, wrong types. */
function typeErrors(all: readonly Manifest[]): string[] {
  const source = all
    .map((manifest, at) => {
      const group = manifest.apiVersion.includes('/') ? manifest.apiVersion.replace(/\.k8s\.io/, '') : `core/${manifest.apiVersion}`
      return `import type { ${manifest.kind} as Kind${at} } from 'kubernetes-types/${group}'\nexport const manifest${at}: Kind${at} = ${JSON.stringify(manifest)}\n`
    })
    .join('')
  const path = join(root, 'test/deploy/manifests.ts')
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ['lib.es2022.d.ts'] },
    ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.getSourceFile = (name, ...rest) =>
    name === path ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest)
  host.fileExists = name => name === path || fileExists(name)
  return ts
    .getPreEmitDiagnostics(ts.createProgram([path], options, host))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

const workloads = [
  { kind: 'candidate', spec: only<StatefulSet>('StatefulSet').spec!, config: 'candidate.config.json' },
  { kind: 'worker', spec: only<Deployment>('Deployment').spec!, config: 'worker.config.json' },
] as const

function podOf(spec: (typeof workloads)[number]['spec']): { pod: PodSpec; container: Container; labels: Record<string, string> } {
  const pod = spec.template.spec!
  assert.equal(pod.containers.length, 1)
  return { pod, container: pod.containers[0]!, labels: spec.template.metadata!.labels! }
}

function selects(selector: Record<string, string> | undefined, labels: Record<string, string>): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value)
}

const gibibytes = (text: unknown): number => {
  const match = /^(\d+)Gi$/.exec(String(text))
  assert.ok(match, String(text))
  return Number(match[1])
}

describe('the manifests', () => {
  it('are what the types of Kubernetes say', () => {
    assert.deepEqual(typeErrors(manifests), [])
    const broken = structuredClone(only<Manifest>('StatefulSet')) as Manifest & { spec: Record<string, unknown> }
    broken.spec['replicaz'] = 3
    assert.match(typeErrors([broken]).join('\n'), /replicaz/)
    delete broken.spec['replicaz']
    broken.spec['replicas'] = 'three'
    assert.match(typeErrors([broken]).join('\n'), /string.*number/)
    delete broken.spec['replicas']
    delete broken.spec['selector']
    assert.match(typeErrors([broken]).join('\n'), /selector/)
  })

  it('are all in the kustomization, which names nothing else', () => {
    const files = readdirSync(join(root, folder)).filter(name => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    assert.deepEqual([...kustomization.resources].sort(), files.sort())
    assert.deepEqual(Object.keys(kustomization).sort(), [
      'apiVersion',
      'configMapGenerator',
      'images',
      'kind',
      'labels',
      'namespace',
      'resources',
    ])
    for (const { files: named } of kustomization.configMapGenerator)
      for (const one of named) assert.ok(existsSync(join(root, folder, one.split('=').at(-1)!)), one)
    const { version } = JSON.parse(textOf('package.json')) as { version: string }
    assert.deepEqual(
      kustomization.images.map(({ name, newTag }) => [name, newTag]),
      [['coxswain', version]],
    )
    assert.equal(only<Manifest>('Namespace').metadata.name, kustomization.namespace)
  })

  it('are put together by kubectl', t => {
    const built = spawnSync('kubectl', ['kustomize', join(root, folder)], { encoding: 'utf8' })
    if (built.error) return t.skip('kubectl is not installed: the kustomization is not built')
    assert.equal(built.status, 0, built.stderr)
    const all = parseAllDocuments(built.stdout).map(document => document.toJS() as Manifest & { metadata: { namespace?: string } })
    const placed = (one: Manifest): string => `${one.kind} ${one.metadata.name.replace(/-[a-z0-9]{10}$/, '')}`
    const maps = kustomization.configMapGenerator.map(({ name }) => `ConfigMap ${name}`)
    assert.deepEqual(all.map(placed).sort(), [...manifests.map(placed), ...maps].sort())
    for (const { kind, metadata } of all) assert.equal(metadata.namespace, kind === 'Namespace' ? undefined : kustomization.namespace)
  })

  it('hold no secret, but name three', () => {
    assert.ok(manifests.every(({ kind }) => kind !== 'Secret'))
    const named = workloads.flatMap(({ spec }) => podOf(spec).pod.volumes!.flatMap(({ secret }) => secret?.secretName ?? []))
    assert.deepEqual([...new Set(named)].sort(), ['coxswain-etcd', 'coxswain-join-candidate', 'coxswain-join-worker'])
    for (const name of new Set(named)) assert.match(textOf('docs/operations.md'), new RegExp(`create secret generic ${name} `))
  })

  it('find the volume of the first candidate that docs/operations.md makes, by manifests that are well', () => {
    const block = /```yaml\n([\s\S]*?)```/.exec(textOf('docs/operations.md'))![1]!
    const made = parseAllDocuments(block).map(document => document.toJS() as Manifest)
    assert.deepEqual(typeErrors(made), [])
    const { metadata, spec } = only<StatefulSet>('StatefulSet')
    const claim = spec!.volumeClaimTemplates![0]!
    assert.equal(made.find(({ kind }) => kind === 'PersistentVolumeClaim')?.metadata.name, `${claim.metadata!.name}-${metadata!.name}-0`)
    assert.ok(block.includes(`${metadata!.name}-0.${spec!.serviceName}.${kustomization.namespace}.svc:${documentedPorts()['candidate']}`))
    assert.ok(block.includes(`image: coxswain:${kustomization.images[0]!.newTag}\n`))
  })

  for (const { kind, spec, config } of workloads) {
    const { pod, container, labels } = podOf(spec)

    it(`start a ${kind} by a command that our command line takes`, async () => {
      const names: Record<string, string> = { POD_NAME: 'coxswain-candidate-0', POD_NAMESPACE: 'coxswain', POD_IP: '10.1.2.3' }
      for (const { name, valueFrom } of container.env!) assert.ok(name in names && valueFrom?.fieldRef, name)
      const args = container.args!.map(text =>
        text.replace(/\$\((\w+)\)/g, (_, name: string) => {
          assert.ok(
            container.env!.some(one => one.name === name),
            name,
          )
          return names[name]!
        }),
      )
      const settings = await settingsFor(args, {}, { '/etc/coxswain/coxswain.config.json': `${folder}/${config}` })
      const port = documentedPorts()[kind]!
      assert.deepEqual(nodeOf(settings), { kind, port })
      const own = { candidate: 'coxswain-candidate-0.coxswain-candidates.coxswain.svc', worker: '10.1.2.3' }[kind]
      assert.equal(settings.advertise, `${own}:${port}`)
      assert.ok(pod.terminationGracePeriodSeconds! * 1000 > settings.drain)
      assert.deepEqual(
        container.ports!.map(one => one.containerPort),
        [port],
      )
      // What tasks may take and what the node itself needs must both fit, or the system kills one of them.
      if (settings.memory !== undefined) assert.ok(gibibytes(container.resources!.limits!['memory']) * 2 ** 30 >= settings.memory + 2 ** 29)
      for (const name of [...secretFiles, 'etcdCaFile', 'etcdCertFile'] as const) {
        const path = settings[name]
        if (path !== undefined)
          assert.ok(
            container.volumeMounts!.some(mount => String(path).startsWith(`${mount.mountPath}/`)),
            name,
          )
      }
    })

    it(`ask a ${kind} how it is by the program in the image`, () => {
      for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
        assert.deepEqual(probe?.exec?.command, ['node', '/opt/coxswain/health.mjs', String(container.ports![0]!.containerPort)])
        assert.ok(probe.timeoutSeconds! >= 5)
      }
      assert.match(textOf('deploy/container/Containerfile'), / \/opt\/coxswain\/health\.mjs$/m)
    })

    it(`give a ${kind} no rights, a file system that cannot be written, and limits`, () => {
      const [, uid, gid] = /^USER (\d+):(\d+)$/m.exec(textOf('deploy/container/Containerfile'))!.map(Number)
      const { runAsNonRoot, runAsUser, runAsGroup, seccompProfile } = pod.securityContext!
      assert.deepEqual([runAsNonRoot, runAsUser, runAsGroup, seccompProfile], [true, uid, gid, { type: 'RuntimeDefault' }])
      const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = container.securityContext!
      assert.deepEqual([allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities], [false, true, { drop: ['ALL'] }])
      assert.deepEqual([pod.automountServiceAccountToken, pod.enableServiceLinks, pod.hostNetwork], [false, false, undefined])
      assert.ok(container.resources?.requests?.['cpu'] && container.resources.requests['memory'] && container.resources.limits?.['memory'])
      assert.equal(pod.serviceAccountName, only<Manifest>('ServiceAccount').metadata.name)
    })

    it(`mount every volume of a ${kind}, and no other`, () => {
      const claims = 'volumeClaimTemplates' in spec ? (spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata!.name!) : []
      assert.deepEqual(container.volumeMounts!.map(({ name }) => name).sort(), [...pod.volumes!.map(({ name }) => name), ...claims].sort())
      for (const { configMap, secret } of pod.volumes!) {
        if (configMap)
          assert.ok(
            kustomization.configMapGenerator.some(({ name }) => name === configMap.name),
            configMap.name,
          )
        if (secret) assert.equal(secret.defaultMode, 0o440)
      }
      assert.equal(container.volumeMounts!.find(({ name }) => name === 'state')?.mountPath, '/var/lib/coxswain')
    })

    it(`let a ${kind} be found, counted and reached where its labels say`, () => {
      assert.ok(selects(spec.selector.matchLabels, labels))
      const budget = only<PodDisruptionBudget>('PodDisruptionBudget', `coxswain-${kind}`).spec!
      assert.deepEqual(budget.selector?.matchLabels, spec.selector.matchLabels)
      if (kind === 'candidate') assert.equal(budget.minAvailable, spec.replicas! - 1)
      const policy = only<NetworkPolicy>('NetworkPolicy', `coxswain-${kind}`).spec!
      assert.ok(selects(policy.podSelector.matchLabels, labels))
      assert.deepEqual(
        policy.ingress!.flatMap(({ ports }) => ports!.map(({ port }) => port)),
        [container.ports![0]!.containerPort],
      )
    })
  }

  it('let in and out nothing that no policy names', () => {
    const { podSelector, policyTypes, ingress, egress } = only<NetworkPolicy>('NetworkPolicy', 'coxswain-nothing').spec!
    assert.deepEqual([policyTypes, ingress, egress], [['Ingress', 'Egress'], undefined, undefined])
    for (const { spec } of workloads) assert.ok(selects(podSelector.matchLabels, podOf(spec).labels))
    const ports = documentedPorts()
    const out = (kind: string): unknown[] =>
      only<NetworkPolicy>('NetworkPolicy', `coxswain-${kind}`).spec!.egress!.flatMap(rule => rule.ports!.map(({ port }) => port))
    assert.deepEqual(out('candidate'), [ports['candidate'], ports['worker'], ports['etcd']])
    assert.deepEqual(out('worker'), [ports['candidate'], ports['worker']])
    for (const { kind, spec } of manifests as (Manifest & NetworkPolicy)[]) {
      if (kind !== 'NetworkPolicy') continue
      for (const { from, ports } of spec!.ingress ?? []) assert.ok(from?.length && ports?.length)
      for (const { to, ports } of spec!.egress ?? []) assert.ok(to?.length && ports?.length)
    }
  })

  it('have Services that reach candidates by a port of theirs, none of which is a setting of ours to them', () => {
    const { container, labels } = podOf(workloads[0].spec)
    for (const name of ['coxswain', workloads[0].spec.serviceName!]) {
      const { spec } = only<Service>('Service', name)
      assert.ok(selects(spec!.selector, labels) && Object.keys(spec!.selector!).length > 0, name)
      assert.deepEqual(
        spec!.ports!.map(({ targetPort, port }) => [targetPort, port]),
        container.ports!.map(one => [one.name, one.containerPort]),
      )
    }
    assert.equal(only<Service>('Service', workloads[0].spec.serviceName!).spec!.publishNotReadyAddresses, true)
    assert.ok(manifests.every(({ kind, metadata }) => kind !== 'Service' || !/^cox(-|$)/.test(metadata.name)))
  })
})
