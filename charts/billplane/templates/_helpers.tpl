{{/* Names, labels and small decisions that templates share. */}}

{{- define "billplane.fullname" -}}
{{- if contains "billplane" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-billplane" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "billplane.selector" -}}
app.kubernetes.io/name: billplane
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "billplane.labels" -}}
{{ include "billplane.selector" . }}
app.kubernetes.io/part-of: billplane
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The image; a service may run another tag. */}}
{{- define "billplane.image" -}}
{{- printf "%s:%s" .root.Values.image.repository (.tag | default .root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}

{{- define "billplane.imagePullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "billplane.host" -}}{{ . | replace "_" "-" }}{{- end -}}

{{/* Pods that host a service carry this label, in every topology. */}}
{{- define "billplane.hosts" -}}hosts.billplane.io/{{ . }}{{- end -}}

{{- define "billplane.secret" -}}
{{- $root := .root -}}
{{- $store := .store -}}
{{- if eq $store "people" -}}
{{- $root.Values.secrets.existingSecret | default (printf "%s-people" (include "billplane.fullname" $root)) -}}
{{- else if eq $store "internal" -}}
{{- printf "%s-internal" (include "billplane.fullname" $root) -}}
{{- else -}}
{{- $values := get $root.Values $store -}}
{{- if eq $values.mode "external" -}}
{{- $values.external.existingSecret -}}
{{- else -}}
{{- printf "%s-%s" (include "billplane.fullname" $root) $store -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "billplane.secretEnv" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}{{ if .optional }}, optional: true{{ end }}}}
{{- end -}}

{{/* Restricted Pod security. */}}
{{- define "billplane.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "billplane.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "billplane.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Every enabled service with its defaults: a map under `services`. */}}
{{- define "billplane.services" -}}
{{- $services := dict -}}
{{- range $name, $own := .Values.services -}}
{{- if ne $own.enabled false -}}
{{- $_ := set $services $name (mergeOverwrite (deepCopy $.Values.defaults) (deepCopy $own)) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "services" $services) -}}
{{- end -}}

{{/* The workloads of the topology: a list of {name, services, and the settings of its pods}. */}}
{{- define "billplane.workloads" -}}
{{- $services := (include "billplane.services" . | fromYaml).services -}}
{{- $workloads := list -}}
{{- if eq .Values.topology "fleet" -}}
{{- range $name, $service := $services -}}
{{- $workload := merge (dict "name" (include "billplane.host" $name) "services" (list $name)) $service -}}
{{- $workloads = append $workloads $workload -}}
{{- end -}}
{{- else -}}
{{- range $group := .Values.compact.groups -}}
{{- $hosted := list -}}
{{- range $group.services -}}
{{- if hasKey $services . }}{{ $hosted = append $hosted . }}{{ end -}}
{{- end -}}
{{- if $hosted -}}
{{- $workload := mergeOverwrite (deepCopy $.Values.defaults) (deepCopy (omit $group "services")) (dict "services" $hosted) -}}
{{- $workloads = append $workloads $workload -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "workloads" $workloads) -}}
{{- end -}}

{{/* What a service calls: what it declares, and identity, which every door asks about keys. */}}
{{- define "billplane.calls" -}}
{{- $all := keys .services | sortAlpha -}}
{{- $calls := (get .services .name).dependsOn -}}
{{- if eq .name "gateway" -}}
{{- $calls = without $all "gateway" -}}
{{- else if ne .name "identity" -}}
{{- $calls = append $calls "identity" | uniq -}}
{{- end -}}
{{- $present := list -}}
{{- range $calls }}{{ if has . $all }}{{ $present = append $present . }}{{ end }}{{ end -}}
{{- toYaml (dict "calls" ($present | sortAlpha)) -}}
{{- end -}}
