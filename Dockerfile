# The supervisor with the example handlers. docs/deployment.md says how to run it with your own.

# Node's current LTS line on Debian. A tag moves: for builds that can be repeated, pass the digest, too
# (docker build --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:…).
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
# The packages first, so that a change of the sources does not install them again.
COPY package.json package-lock.json .npmrc ./
COPY handlers/package.json handlers/
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build
# npm keeps typescript, because valibot names it as an optional peer, and esbuild is for millrace dev only: 40 MB that
# nothing runs.
RUN npm prune --omit=dev --ignore-scripts \
  && rm -rf node_modules/typescript node_modules/@typescript node_modules/esbuild node_modules/@esbuild \
    node_modules/.bin \
  && mv dist/handlers /handlers

FROM ${NODE_IMAGE}
# Process 1 in a container must reap orphans, and cannot kill itself while a thread is stuck in native
# code; with tini as process 1 the supervisor is an ordinary process.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /build/package.json /build/LICENSE ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY --from=build /build/template template
# Below /app, so that handlers find millrace and its packages; mount a folder of your own here.
COPY --from=build /handlers handlers
COPY deploy/healthcheck.mjs ./
ENV NODE_ENV=production \
  MILLRACE_HANDLERS=/app/handlers \
  MILLRACE_HTTP_HOST=0.0.0.0
LABEL org.opencontainers.image.title="Millrace supervisor" \
  org.opencontainers.image.description="Background jobs for TypeScript on NATS JetStream" \
  org.opencontainers.image.licenses="Apache-2.0"
# A number, because Kubernetes' runAsNonRoot cannot check a name.
USER 10001:10001
EXPOSE 9464
# The supervisor drains on SIGTERM. Give it longer than drain, grace and 2 s together: docker stop's own
# 10 seconds are not enough (docker stop --time 30).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "/app/healthcheck.mjs"]
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["node", "dist/supervisor.js"]
