{{/* A bundled store: Service and StatefulSet of one pod around one container. */}}
{{- define "billplane.store" -}}
{{- $context := dict "root" .root "component" .name -}}
{{- $bundled := (get .root.Values .name).bundled -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels: {{- include "billplane.labels" $context | nindent 4 }}
spec:
  selector: {{- include "billplane.selector" $context | nindent 4 }}
  ports:
    {{- range $port := .ports }}
    - {name: {{ $port.name }}, port: {{ $port.containerPort }}, targetPort: {{ $port.name }}}
    {{- end }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .name }}
  labels: {{- include "billplane.labels" $context | nindent 4 }}
spec:
  serviceName: {{ .name }}
  replicas: 1
  selector:
    matchLabels: {{- include "billplane.selector" $context | nindent 6 }}
  template:
    metadata:
      labels: {{- include "billplane.labels" $context | nindent 8 }}
      {{- with .configuration }}
      annotations: {checksum/configuration: {{ sha256sum . }}}
      {{- end }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- include "billplane.imagePullSecrets" .root | nindent 6 }}
      securityContext: {{- include "billplane.podSecurity" .user | nindent 8 }}
      terminationGracePeriodSeconds: 60
      {{- include "billplane.placement" .root.Values.defaults | nindent 6 }}
      {{- with .prepare }}
      # What the image has where the root cannot be written.
      initContainers:
        - name: prepare
          image: {{ $bundled.image }}
          imagePullPolicy: {{ $.root.Values.image.pullPolicy }}
          command: {{ toJson . }}
          securityContext: {{- include "billplane.containerSecurity" . | nindent 12 }}
          resources: {{- toYaml $bundled.resources | nindent 12 }}
          volumeMounts: [{name: configuration, mountPath: /configuration}]
      {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ $bundled.image }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          {{- .container | nindent 10 }}
          ports: {{- toYaml .ports | nindent 12 }}
          startupProbe: {{- merge (dict "periodSeconds" 2 "timeoutSeconds" 10 "failureThreshold" 150) .probe | toYaml | nindent 12 }}
          readinessProbe: {{- merge (dict "periodSeconds" 10 "timeoutSeconds" 10 "failureThreshold" 3) .probe | toYaml | nindent 12 }}
          livenessProbe: {{- merge (dict "periodSeconds" 15 "timeoutSeconds" 15 "failureThreshold" 8) .probe | toYaml | nindent 12 }}
          securityContext: {{- include "billplane.containerSecurity" . | nindent 12 }}
          resources: {{- toYaml $bundled.resources | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: {{ .data }}}
            - {name: tmp, mountPath: /tmp}
            {{- with .mounts }}{{ toYaml . | nindent 12 }}{{ end }}
      volumes:
        - {name: tmp, emptyDir: {}}
        {{- with .volumes }}{{ toYaml . | nindent 8 }}{{ end }}
  volumeClaimTemplates:
    - metadata:
        name: data
        labels: {{- include "billplane.selector" $context | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $bundled.storage.className }}
        storageClassName: {{ . }}
        {{- end }}
        resources: {requests: {storage: {{ $bundled.storage.size }}}}
{{- end -}}
