{{/* One workload: Deployment, ServiceAccount, and what scales and protects it. */}}
{{- define "billplane.workload" -}}
{{- $root := .root -}}
{{- $workload := .workload -}}
{{- $context := dict "root" $root "component" $workload.name -}}
{{- $ports := dict "rest" (list) "grpc" (list) -}}
{{- $tag := dig "image" "tag" "" $workload -}}
{{- $secrets := list -}}
{{- range $workload.services -}}
{{- $service := get $root.Values.services . -}}
{{- $_ := set $ports "rest" (concat $ports.rest $service.ports.rest) -}}
{{- $_ := set $ports "grpc" (concat $ports.grpc $service.ports.grpc) -}}
{{- with $service.existingSecret }}{{ $secrets = append $secrets . }}{{ end -}}
{{- end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "billplane.fullname" $root }}-{{ $workload.name }}
  labels: {{- include "billplane.labels" $context | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $workload.name }}
  labels: {{- include "billplane.labels" $context | nindent 4 }}
spec:
  {{- if not $workload.autoscaling.enabled }}
  replicas: {{ $workload.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  # A rollout is late before the pods' wait for the schemas ends.
  progressDeadlineSeconds: {{ add 300 $root.Values.migrations.timeoutSeconds }}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector:
    matchLabels: {{- include "billplane.selector" $context | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "billplane.labels" $context | nindent 8 }}
        {{- range $workload.services }}
        {{ include "billplane.hosts" . }}: "true"
        {{- end }}
        billplane.io/metrics: "true"
        {{- with $workload.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with $workload.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "billplane.fullname" $root }}-{{ $workload.name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- include "billplane.imagePullSecrets" $root | nindent 6 }}
      securityContext: {{- include "billplane.podSecurity" 10001 | nindent 8 }}
      terminationGracePeriodSeconds: {{ $workload.terminationGracePeriodSeconds }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "billplane.selector" $context | nindent 14 }}
      {{- include "billplane.placement" $workload | nindent 6 }}
      {{- if $root.Values.migrations.enabled }}
      initContainers:
        - name: wait-schema
          image: {{ include "billplane.image" (dict "root" $root "tag" $tag) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{ concat (list "wait-schema" "--timeout" ($root.Values.migrations.timeoutSeconds | toString)) $workload.services | toJson }}
          env: {{- include "billplane.serviceEnv" (dict "root" $root "services" $workload.services) | nindent 12 }}
          securityContext: {{- include "billplane.containerSecurity" . | nindent 12 }}
          resources: {{- toYaml $workload.resources | nindent 12 }}
          volumeMounts: {{- include "billplane.mounts" $root | nindent 12 }}
      {{- end }}
      containers:
        - name: {{ $workload.name }}
          image: {{ include "billplane.image" (dict "root" $root "tag" $tag) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{ concat (list "run") $workload.services | toJson }}
          env:
            {{- include "billplane.serviceEnv" (dict "root" $root "services" $workload.services) | nindent 12 }}
            {{- with $root.Values.env }}{{ toYaml . | nindent 12 }}{{ end }}
            {{- range $workload.services }}
            {{- with (get $root.Values.services .).env }}{{ toYaml . | nindent 12 }}{{ end }}
            {{- end }}
          {{- with $secrets }}
          envFrom:
            {{- range . }}
            - secretRef: {name: {{ . }}}
            {{- end }}
          {{- end }}
          ports:
            - {name: rest, containerPort: 8080}
            - {name: grpc, containerPort: 50051}
            {{- range uniq $ports.rest }}
            - {name: rest-{{ . }}, containerPort: {{ . }}}
            {{- end }}
            {{- range uniq $ports.grpc }}
            - {name: grpc-{{ . }}, containerPort: {{ . }}}
            {{- end }}
          startupProbe:
            httpGet: {path: /health/ready, port: rest}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 90
          readinessProbe:
            httpGet: {path: /health/ready, port: rest}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 3
          livenessProbe:
            grpc: {port: 50051}
            periodSeconds: 10
            timeoutSeconds: 10
            failureThreshold: 6
          lifecycle:
            preStop: {sleep: {seconds: {{ $workload.preStopSeconds }}}}
          securityContext: {{- include "billplane.containerSecurity" . | nindent 12 }}
          resources: {{- toYaml $workload.resources | nindent 12 }}
          volumeMounts: {{- include "billplane.mounts" $root | nindent 12 }}
      volumes: {{- include "billplane.volumes" $root | nindent 8 }}
{{- if $workload.autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $workload.name }}
  labels: {{- include "billplane.labels" $context | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $workload.name }}}
  minReplicas: {{ $workload.autoscaling.minReplicas }}
  maxReplicas: {{ $workload.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $workload.autoscaling.targetCPUUtilizationPercentage }}
{{- end }}
{{- $pods := ternary $workload.autoscaling.minReplicas $workload.replicas $workload.autoscaling.enabled | int }}
{{- if and $root.Values.podDisruptionBudget.enabled (gt $pods 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $workload.name }}
  labels: {{- include "billplane.labels" $context | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "billplane.selector" $context | nindent 6 }}
{{- end }}
{{- end -}}
