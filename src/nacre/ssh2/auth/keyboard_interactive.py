"""``keyboard-interactive``: rounds of prompts and responses (RFC 4256)."""

from __future__ import annotations

from nacre.errors import LocalProtocolError, NacreError, RemoteProtocolError
from nacre.limits import Limits
from nacre.protocol.asks import (
    AskKeyboardInteractive,
    AskPrompts,
    Challenge,
    Denied,
    GiveUp,
    Prompt,
    TryKeyboardInteractive,
)
from nacre.ssh2.auth.attempt import Attempt, Exchange, Steps, check_length
from nacre.ssh2.auth.messages import InfoPrompt, InfoRequest, InfoResponse, InteractiveRequest
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.auth.texts import shown
from nacre.wire.codec import Buffer, text
from nacre.wire.message import Message
from nacre.wire.text import safe


def check(attempt: Attempt, fields: bytes) -> Steps[bool | Message]:
    """Pass the policy's challenges to the client until the policy grants or denies."""
    limits = attempt.options.limits
    submethods = InteractiveRequest.decode(fields).submethods
    check_length("the list of submethods", submethods, limits.name_list)
    user = attempt.user
    answer = yield AskKeyboardInteractive(user=user, submethods=submethods)
    for _ in range(limits.auth_rounds):
        if not isinstance(answer, Challenge):
            return attempt.verdict(answer)
        reply = yield Exchange(_info_request(answer), AuthStage.SERVER_INTERACTIVE)
        responses = _responses(reply, len(answer.prompts), limits)
        answer = yield AskKeyboardInteractive(user=user, submethods=submethods, responses=responses)
    if isinstance(answer, Challenge):
        answer = Denied("too many rounds of prompts")
    return attempt.verdict(answer)


def _info_request(challenge: Challenge) -> InfoRequest:
    prompts = [InfoPrompt(prompt.text, prompt.echo).encode() for prompt in challenge.prompts]
    return InfoRequest(
        challenge.name, challenge.instruction, "", len(prompts), encoded=b"".join(prompts)
    )


def _responses(payload: Buffer, count: int, limits: Limits) -> tuple[str, ...]:
    message = InfoResponse.decode(payload)
    if message.count != count:
        raise RemoteProtocolError(f"{message.count} responses were sent to {count} prompts")
    responses = message.responses()
    for response in responses:
        check_length("a response", response, limits.password)
    return responses


def prove(
    attempt: Attempt, chosen: TryKeyboardInteractive, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    """Answer the server's prompts, round after round."""
    limits = attempt.options.limits
    request = attempt.request(InteractiveRequest("", chosen.submethods))
    reply = yield Exchange(request, AuthStage.CLIENT_INTERACTIVE)
    for _ in range(limits.auth_rounds):
        question = _question(InfoRequest.decode(reply), limits)
        answer = yield question
        if isinstance(answer, GiveUp):
            return answer.error
        count, wanted = len(answer.responses), len(question.prompts)
        if count != wanted:
            return LocalProtocolError(f"{wanted} prompts were answered with {count} responses")
        responses = InfoResponse(count, b"".join(map(text, answer.responses)))
        reply = yield Exchange(responses, AuthStage.CLIENT_INTERACTIVE)
    raise RemoteProtocolError(f"the server prompts more than {limits.auth_rounds} times")


def _question(request: InfoRequest, limits: Limits) -> AskPrompts:
    if request.count > limits.auth_prompts:
        raise RemoteProtocolError(
            f"{request.count} prompts in one round; at most {limits.auth_prompts} are accepted"
        )
    return AskPrompts(
        name=safe(request.name),
        instruction=shown(request.instruction, limits.banner),
        prompts=tuple(
            Prompt(shown(prompt.text, limits.banner), prompt.echo) for prompt in request.prompts()
        ),
    )
