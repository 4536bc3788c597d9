"""Anchors come to the width of their block by slices, principal components or a trained matrix, and never unasked."""

import numpy as np
import pytest
import torch

from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Modality
from kedrec.lladr.anchor_projection import Anchors, initialise_unseen
from kedrec.lladr.link_losses import anchor_loss

ENTITIES = 12
PROJECTIONS = ("slice", "pca", "learned")


def _modality(name, dim, missing=(), seed=0):
    vectors = np.random.default_rng(seed).normal(size=(ENTITIES, dim)).astype(np.float32)
    vectors *= np.linspace(3, 1, dim, dtype=np.float32)  # no two components vary alike
    known = ~np.isin(np.arange(ENTITIES), missing)
    vectors[~known] = 0
    return Modality(name, vectors, known)


@pytest.fixture
def two():
    """Names of all but one entity, descriptions of all but three; the last entity has neither."""
    return [_modality("name", 8, (11,)), _modality("description", 6, (3, 7, 11), seed=1)]


def _all(anchors):
    vectors, known = anchors(torch.arange(ENTITIES))
    return vectors.detach().numpy(), known.numpy()


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("width", [8, 7])
def test_each_modality_has_its_block_and_what_is_unknown_is_masked_and_zero(two, projection, width):
    anchors = Anchors(two, width, projection, seed=0)
    vectors, known = _all(anchors)
    half = int(anchors.widths[0])
    assert abs(half - width / 2) <= 0.5
    assert vectors.shape == known.shape == (ENTITIES, width)
    for block, modality in ((slice(half), two[0]), (slice(half, width), two[1])):
        assert (known[:, block] == modality.known[:, None]).all()
        assert (vectors[~modality.known, block] == 0).all()
        assert (vectors[modality.known, block] != 0).all()
        alone = Anchors([modality], len(range(width)[block]), projection, seed=0)
        if projection != "learned" or modality is two[0]:  # the second matrix follows the first one's draws
            assert np.array_equal(_all(alone)[0], vectors[:, block])


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_rows_may_repeat_and_come_in_any_order(two, projection):
    anchors = Anchors(two, 8, projection, seed=0)
    vectors, known = _all(anchors)
    rows = torch.tensor([3, 0, 11, 3])
    some, which = anchors(rows)
    np.testing.assert_allclose(some.detach().numpy(), vectors[rows], rtol=1e-6)
    assert np.array_equal(which.numpy(), known[rows])


def test_a_slice_is_the_first_coordinates(two):
    vectors, _ = _all(Anchors(two, 8, "slice", seed=0))
    assert np.array_equal(vectors, np.concatenate([two[0].vectors[:, :4], two[1].vectors[:, :4]], axis=1))


@pytest.mark.parametrize("width", [3, 8])
def test_principal_components_equal_those_of_scikit_learn_up_to_sign(width):
    from sklearn.decomposition import PCA

    modality = _modality("name", 8, (2, 5))
    vectors, _ = _all(Anchors([modality], width, "pca", seed=0))
    expected = PCA(width, svd_solver="full").fit_transform(modality.vectors[modality.known].astype(np.float64))
    given = vectors[modality.known]
    signs = np.sign((given * expected).sum(axis=0))
    np.testing.assert_allclose(given * signs, expected, atol=1e-4)


def test_principal_components_are_uncorrelated_and_keep_the_most_variance():
    modality = _modality("name", 8, (2, 5))
    vectors, _ = _all(Anchors([modality], 3, "pca", seed=0))
    some = vectors[modality.known].astype(np.float64)
    np.testing.assert_allclose(some.mean(axis=0), 0, atol=1e-5)
    covariance = np.cov(some.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert (np.diff(np.diag(covariance)) < 0).all()
    of_all = np.cov(modality.vectors[modality.known].T.astype(np.float64))
    most = np.linalg.svd(of_all, compute_uv=False)[:3].sum()
    assert np.trace(covariance) == pytest.approx(most, rel=1e-5)


def test_components_do_not_depend_on_what_stands_where_nothing_is_known():
    modality = _modality("name", 8, (2, 5))
    other = Modality(
        "name", np.where(modality.known[:, None], modality.vectors, 1e3).astype(np.float32), modality.known
    )
    given, expected = (_all(Anchors([one], 3, "pca", seed=0))[0] for one in (other, modality))
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize("projection", ["slice", "pca"])
def test_a_vector_shorter_than_its_block_is_an_error_that_says_what_to_do(two, projection):
    with pytest.raises(KedrecError, match=r"projection: .*6 dimensions of 'description' to the 7 .*learned"):
        Anchors(two, 14, projection, seed=0)
    assert _all(Anchors(two, 14, "learned", seed=0))[0].shape == (ENTITIES, 14)


def test_learned_matrices_follow_the_seed_and_are_trained(two):
    once, again, other = (Anchors(two, 8, "learned", seed) for seed in (0, 0, 1))
    assert [tuple(matrix.shape) for matrix in once.parameters()] == [(8, 4), (6, 4)]
    for mine, same, different in zip(once.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, same)
        assert not torch.equal(mine, different)
    vectors, known = once(torch.arange(ENTITIES))
    wanted = [torch.from_numpy(modality.vectors) @ matrix for modality, matrix in zip(two, once.matrices, strict=True)]
    torch.testing.assert_close(vectors, torch.cat(wanted, dim=1))
    entity = torch.randn(ENTITIES, 8, generator=torch.Generator().manual_seed(0))
    anchor_loss("cosine", entity, vectors, known).backward()
    assert all(matrix.grad.ne(0).any() for matrix in once.parameters())


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_checkpoint_holds_the_matrices_and_nothing_else(two, projection):
    names = Anchors(two, 8, projection, seed=0).state_dict().keys()
    assert set(names) == ({"matrices.0", "matrices.1"} if projection == "learned" else set())


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_modality_that_nobody_has_anchors_nothing(projection):
    nobody = _modality("fingerprint", 8, range(ENTITIES))
    anchors = Anchors([_modality("name", 8), nobody], 8, projection, seed=0)
    vectors, known = _all(anchors)
    assert known[:, :4].all()
    assert not known[:, 4:].any()
    assert (vectors[:, 4:] == 0).all()
    entity = torch.ones(ENTITIES, 8, requires_grad=True)
    anchor_loss("euclidean", entity, *anchors(torch.arange(ENTITIES))).backward()
    assert entity.grad[:, 4:].eq(0).all()
    assert entity.grad[:, :4].ne(0).any()


def _settled(neighbours, seen, kinds=(0,) * 6):
    """Six entities whose anchors are angles in rising order; each has learned a row that tells who it is."""
    angles = np.array([0.0, 0.1, 0.25, 0.6, 0.9, 1.5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) * 3
    known = np.array([True] * 5 + [False])
    anchors = Anchors([Modality("name", vectors * known[:, None], known)], 2, "slice", seed=0)
    learned = torch.tensor([[4.0, 0], [0, 2], [2, 0], [0, 6], [8, 0], [0, 10]])
    initialise_unseen(learned, anchors, torch.tensor(kinds), torch.tensor(seen, dtype=torch.bool), neighbours)
    return learned.tolist()


def test_unseen_entities_get_what_those_near_them_have_learned_at_their_mean_length():
    seen = [1, 0, 1, 1, 1, 0]
    one, two = _settled(1, seen), _settled(2, seen)
    assert one == [[4, 0], [4, 0], [2, 0], [0, 6], [8, 0], [0, 10]]  # the last has no anchor
    assert two[1] == [3, 0]
    three = torch.tensor(_settled(3, seen)[1])
    torch.testing.assert_close(three / three.norm(), torch.tensor([6.0, 6.0]) / 72**0.5)
    assert three.norm() == pytest.approx((4 + 2 + 6) / 3)


def test_unseen_entities_take_after_their_own_kind_and_stay_where_nobody_of_it_is_known():
    assert _settled(1, [1, 0, 1, 1, 1, 0], kinds=(0, 1, 0, 1, 0, 0))[1] == [0, 6]
    assert _settled(1, [1, 0, 1, 1, 1, 0], kinds=(0, 1, 0, 0, 0, 0))[1] == [0, 2]
    assert _settled(9, [1, 0, 1, 1, 1, 1], kinds=(0, 1, 0, 1, 1, 0))[1] == pytest.approx([7 * 0.8, 7 * 0.6])
