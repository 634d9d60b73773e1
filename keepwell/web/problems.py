"""Errors of an HTTP service as RFC 9457 has them, without anything of the request in them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as RFC 9457 has it (`application/problem+json`)."""

    title: str
    status: int
    detail: str


def problem(content: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that a problem is."""
    return Response(msgspec.json.encode(content), content.status, headers, "application/problem+json")


def problem_of(error: HTTPException) -> Response:
    """The problem that says what was raised."""
    return problem(Problem(HTTPStatus(error.status_code).phrase, error.status_code, error.detail), error.headers)


def answer_with_problems(app: FastAPI) -> None:
    """Makes every error of an application a problem: what is raised as `HTTPException` with its status and detail."""
    app.add_exception_handler(HTTPException, _raised)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(Exception, _broken)


async def _raised(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_of(error)


async def _unfit(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{' '.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return problem_of(HTTPException(422, f"{told}."))


async def _broken(_request: Request, _error: Exception) -> Response:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem(Problem(status.phrase, status, "A fault of the service: send the request again later."))
