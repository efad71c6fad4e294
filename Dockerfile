# docker build --build-arg VERSION=1.2.3 --tag relogin .
#
# That is the worker for production, with all commands but dev, gateway and bench: it embeds
# no servers. With --target full all commands are there; docker-compose.yml uses that one.
#
# Built by the classic builder and by BuildKit alike. GO_IMAGE and BASE_IMAGE may name
# mirrors; GOPROXY and GOSUMDB are what the go command makes of them.
ARG GO_IMAGE=golang:1.26.10
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${GO_IMAGE} AS source
ARG GOPROXY
ARG GOSUMDB
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .

FROM source AS build-full
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION}" -o /out/relogin ./cmd/relogin

FROM source AS build-worker
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -tags nodev -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION}" -o /out/relogin ./cmd/relogin

FROM ${BASE_IMAGE} AS runtime
USER 65532:65532
ENV RELOGIN_HTTP_ADDR=:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/relogin", "health"]
ENTRYPOINT ["/relogin"]
CMD ["worker"]

FROM runtime AS full
COPY --from=build-full /out/relogin /relogin

FROM runtime AS worker
COPY --from=build-worker /out/relogin /relogin
