{{/* Environment that every process of the platform has. */}}
{{- define "billplane.env" -}}
- {name: BILLPLANE_BIND_HOST, value: 0.0.0.0}
- {name: BILLPLANE_LOG_LEVEL, value: {{ .root.Values.logLevel }}}
{{- with .root.Values.otlpEndpoint }}
- {name: BILLPLANE_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_INTERNAL_SEED" "secret" (include "billplane.secret" (dict "root" .root "store" "internal")) "key" "internal-seed") }}
{{- end -}}

{{/* Environment of a process that hosts services: stores, and the secret where identity is. */}}
{{- define "billplane.serviceEnv" -}}
{{- $root := .root -}}
{{- $people := include "billplane.secret" (dict "root" $root "store" "people") -}}
{{ include "billplane.env" . }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_DATABASE_URL" "secret" (include "billplane.secret" (dict "root" $root "store" "postgres")) "key" "database-url") }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_REDIS_URL" "secret" (include "billplane.secret" (dict "root" $root "store" "redis")) "key" "redis-url") }}
{{ include "billplane.brokerEnv" $root }}
{{- if has "identity" .services }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_JWT_SECRET" "secret" $people "key" "jwt-secret") }}
{{- end }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_ADMIN_KEY" "secret" $people "key" "admin-key" "optional" true) }}
{{- if has "payment" .services }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_PAYMENT_STRIPE_API_KEY" "secret" $people "key" "stripe-secret-key" "optional" true) }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_PAYMENT_STRIPE_WEBHOOK_SECRET" "secret" $people "key" "stripe-webhook-secret" "optional" true) }}
{{- with $root.Values.gateway.publicUrl }}
- {name: BILLPLANE_PAYMENT_PUBLIC_URL, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if has "notification" .services }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_NOTIFICATION_SMTP_PASSWORD" "secret" $people "key" "smtp-password" "optional" true) }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_NOTIFICATION_SMS_TOKEN" "secret" $people "key" "sms-token" "optional" true) }}
{{- end }}
- {name: BILLPLANE_DRAIN_SECONDS, value: "3"}
- {name: BILLPLANE_STOP_GRACE_SECONDS, value: "25"}
{{- if and (has "gateway" .services) $root.Values.gateway.demoTenant }}
- {name: BILLPLANE_GATEWAY_DEMO_TENANT, value: {{ $root.Values.gateway.demoTenant }}}
{{- end }}
{{ include "billplane.databaseAuthority" $root }}
{{- range $name := .services }}
{{- $service := get $root.Values.services $name }}
{{- with $service.databaseUrlSecret }}
{{ include "billplane.secretEnv" (dict "name" (printf "BILLPLANE_%s_DATABASE_URL" (upper $name)) "secret" .name "key" .key) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Authorities that the database's certificate is held against under sslmode=verify-*. */}}
{{- define "billplane.databaseAuthority" -}}
- {name: PGSSLROOTCERT, value: {{ ternary "/etc/billplane/ca/ca.crt" "/etc/ssl/certs/ca-certificates.crt" (ne .Values.tls.caSecret "") }}}
{{- end -}}

{{/* Tasks go through RabbitMQ, facts through Kafka. */}}
{{- define "billplane.brokerEnv" -}}
{{- $kafka := include "billplane.secret" (dict "root" . "store" "kafka") -}}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_RABBITMQ_URL" "secret" (include "billplane.secret" (dict "root" . "store" "rabbitmq")) "key" "rabbitmq-url") }}
{{- if eq .Values.kafka.mode "bundled" }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_KAFKA_BOOTSTRAP_SERVERS" "secret" $kafka "key" "kafka-bootstrap-servers") }}
- {name: BILLPLANE_KAFKA_SECURITY_PROTOCOL, value: SASL_PLAINTEXT}
- {name: BILLPLANE_KAFKA_SASL_MECHANISM, value: PLAIN}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_KAFKA_SASL_USERNAME" "secret" $kafka "key" "username") }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_KAFKA_SASL_PASSWORD" "secret" $kafka "key" "password") }}
- {name: BILLPLANE_KAFKA_REPLICATION_FACTOR, value: "1"}
- {name: BILLPLANE_KAFKA_MIN_INSYNC_REPLICAS, value: "1"}
{{- else }}
- {name: BILLPLANE_KAFKA_BOOTSTRAP_SERVERS, value: {{ .Values.kafka.external.bootstrapServers | quote }}}
- {name: BILLPLANE_KAFKA_SECURITY_PROTOCOL, value: {{ .Values.kafka.external.securityProtocol }}}
{{- if hasPrefix "SASL" .Values.kafka.external.securityProtocol }}
- {name: BILLPLANE_KAFKA_SASL_MECHANISM, value: {{ .Values.kafka.external.saslMechanism }}}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_KAFKA_SASL_USERNAME" "secret" $kafka "key" "kafka-username") }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_KAFKA_SASL_PASSWORD" "secret" $kafka "key" "kafka-password") }}
{{- end }}
- {name: BILLPLANE_KAFKA_REPLICATION_FACTOR, value: {{ .Values.kafka.external.replicationFactor | quote }}}
- {name: BILLPLANE_KAFKA_MIN_INSYNC_REPLICAS, value: {{ .Values.kafka.external.minInsyncReplicas | quote }}}
{{- end }}
{{- if .Values.tls.caSecret }}
- {name: BILLPLANE_RABBITMQ_CA_FILE, value: /etc/billplane/ca/ca.crt}
- {name: BILLPLANE_KAFKA_CA_FILE, value: /etc/billplane/ca/ca.crt}
{{- end }}
{{- end -}}

{{- define "billplane.volumes" -}}
- name: tmp
  emptyDir: {}
{{- with .Values.tls.caSecret }}
- name: ca
  secret: {secretName: {{ . }}}
{{- end }}
{{- end -}}

{{- define "billplane.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.tls.caSecret }}
- {name: ca, mountPath: /etc/billplane/ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* Environment of the operator and its Jobs, which call services by their DNS names. */}}
{{- define "billplane.operatorEnv" -}}
{{ include "billplane.env" (dict "root" .) }}
- {name: BILLPLANE_OPERATOR_SERVICES_ADDRESS, value: "dns:///{service}-peers:50051"}
- {name: BILLPLANE_OPERATOR_LEASE_NAME, value: {{ include "billplane.fullname" . }}-operator}
- {name: BILLPLANE_OPERATOR_DEFAULT_TENANT, value: {{ .Values.defaultTenant }}}
{{- with .Values.operator.watchNamespaces }}
- {name: BILLPLANE_OPERATOR_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
{{- end -}}

{{- define "billplane.migrateEnv" -}}
{{- $postgres := include "billplane.secret" (dict "root" . "store" "postgres") -}}
- {name: BILLPLANE_LOG_LEVEL, value: {{ .Values.logLevel }}}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_DATABASE_URL" "secret" $postgres "key" "database-url") }}
{{ include "billplane.secretEnv" (dict "name" "BILLPLANE_ADMIN_DATABASE_URL" "secret" $postgres "key" "admin-database-url" "optional" true) }}
{{ include "billplane.databaseAuthority" . }}
{{- end -}}
